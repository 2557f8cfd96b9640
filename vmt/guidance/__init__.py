"""Moving the noisy latent so that a loss on the generated video falls."""
