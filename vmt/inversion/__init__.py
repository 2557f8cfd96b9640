"""From a clean reference latent to a noisy one."""
