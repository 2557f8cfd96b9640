"""Displacement read in a latent, on latents whose motion is known."""

import pytest
import torch

from vmt.errors import InputError, StateError
from vmt.signals.attention_flow import AttentionFlowConfig
from vmt.signals.latent_flow import LATENT, extract_latent_flow, latent_flow_loss, token_patches
from vmt.token_grid import TokenGrid

GRID = TokenGrid(3, 8, 10)
CONFIG = AttentionFlowConfig(span=1, radius=None, temperature=4.0)


def noise(seed=0, batch=1, frames=3, height=16, width=20):
    return torch.randn(batch, 16, frames, height, width, generator=torch.Generator().manual_seed(seed))


def rolled(dy, dx, first=None):
    """A clip whose every frame is the one before, moved by whole tokens."""
    first = noise(frames=1) if first is None else first
    return torch.cat([first.roll((2 * dy * f, 2 * dx * f), (3, 4)) for f in range(3)], 2)


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -2), (-1, 2)])
def test_a_translation_is_read(shift):
    flow = extract_latent_flow(rolled(*shift), GRID, CONFIG)
    assert flow.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]  # one frame further apart than asked of the AMF
    moved = flow.blocks[LATENT].displacement_tok.unflatten(1, (8, 10))
    inner = moved[:, 4:-4, 4:-4]  # what leaves the frame is not found again
    for (i, j), found in zip(flow.pairs.tolist(), inner, strict=True):
        expected = torch.tensor(shift, dtype=torch.float32) * (j - i)
        if abs(expected).max() <= 3:
            torch.testing.assert_close(found, expected.expand_as(found), atol=0.05, rtol=0)


def test_what_surrounds_a_token_belongs_to_it():
    clip = noise()
    patches = token_patches(clip, GRID).unflatten(1, (3, 8, 10)).unflatten(-1, (16, 4, 4))
    centred = clip - clip.mean((3, 4), keepdim=True)
    torch.testing.assert_close(patches[0, 1, 3, 5, 0], centred[0, :, 1, 5:9, 9:13])
    torch.testing.assert_close(patches[0, 1, 0, 0, 0][:, 1:, 1:], centred[0, :, 1, :3, :3])
    brighter = clip + torch.randn(1, 16, 3, 1, 1)
    torch.testing.assert_close(token_patches(brighter, GRID), token_patches(clip, GRID), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(15, 20), (16, 19), (15, 19)])
def test_sizes_that_tokens_do_not_divide(size):
    """The host pads such a latent; the last tokens are cut short."""
    assert token_patches(noise(height=size[0], width=size[1]), GRID).shape == (1, GRID.num_tokens, 1, 256)


def test_the_loss_is_zero_on_the_reference_and_grows_with_the_difference():
    reference = rolled(0, 1)
    flow = extract_latent_flow(reference, GRID, AttentionFlowConfig(radius=2))
    losses = [latent_flow_loss(flow, clip).item() for clip in (reference, rolled(0, 0), rolled(0, -1))]
    assert losses[0] < 1e-10 and losses[0] < losses[1] < losses[2]
    # What moves is followed whatever it looks like: another clip with that motion is nearer than one without.
    other = noise(5, frames=1)
    assert latent_flow_loss(flow, rolled(0, 1, other)) < 0.5 * latent_flow_loss(flow, rolled(0, 0, other))


def test_gradient_against_finite_differences():
    flow = extract_latent_flow(rolled(0, 1), GRID, AttentionFlowConfig(radius=2))
    clip = noise(2, batch=2).double().requires_grad_()
    loss = latent_flow_loss(flow, clip)
    assert loss.shape == (2,) and loss.dtype == torch.float64
    (gradient,) = torch.autograd.grad(loss.sum(), clip)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
    direction = noise(3, batch=2).double()
    step = 1e-5
    with torch.no_grad():
        there, back = (latent_flow_loss(flow, clip + sign * step * direction).sum() for sign in (1, -1))
    assert (gradient * direction).sum().item() == pytest.approx(((there - back) / (2 * step)).item(), rel=1e-6)


def test_a_region_limits_what_is_followed():
    flow = extract_latent_flow(rolled(0, 1), GRID, AttentionFlowConfig(radius=2))
    mask = torch.zeros(8, 10)
    mask[:, :5] = 1
    clip = noise(4).requires_grad_()
    (gradient,) = torch.autograd.grad(latent_flow_loss(flow, clip, mask).sum(), clip)
    assert gradient[..., :6].abs().max() > 10 * gradient[..., 18:].abs().max()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        extract_latent_flow(noise(frames=1), TokenGrid(1, 8, 10), CONFIG)
    broken = noise()
    broken[0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(StateError, match="NaN"):
        extract_latent_flow(broken, GRID, CONFIG)
