"""Frame guidance: what the whole model says beyond its frames apart, times a strength that falls with the noise."""

import torch

from vmt.demo.frame_guidance import FrameGuidance


def model(x, timestep, context, apart=()):
    """Velocity 3 where frames see each other, 1 where they do not."""
    assert torch.equal(timestep, 1000 * torch.tensor([1.0, 0.6, 0.2]))
    return torch.full_like(x, 1.0 if apart else 3.0)


def test_strength_falls_from_full_to_nothing():
    guidance = FrameGuidance(strength=2.0, full=0.8, lowest=0.4)
    sigma = torch.tensor([1.0, 0.8, 0.6, 0.4, 0.0])
    torch.testing.assert_close(guidance.strength_at(sigma), torch.tensor([2.0, 2.0, 1.0, 0.0, 0.0]))


def test_classifier_free_guidance_of_what_is_learned_goes_the_whole_way():
    """u + cfg (w' - u) is u + cfg (w - u) + strength (whole - apart), for the null prompt's u is left as it is."""
    x, sigma = torch.zeros(3, 16, 2, 4, 4), torch.tensor([1.0, 0.6, 0.2])
    guidance = FrameGuidance(strength=2.0, full=0.8, lowest=0.4, cfg=4.0)
    null, wanted = (
        guidance.velocity(model, x, sigma, None, torch.full((3,), captioned)) for captioned in (False, True)
    )
    assert wanted.dtype == torch.float32 and wanted.shape == x.shape
    assert torch.equal(null, torch.full_like(x, 3.0))
    torch.testing.assert_close((null + 4 * (wanted - null))[:, 0, 0, 0, 0], 3 + torch.tensor([2.0, 1.0, 0.0]) * 2)
