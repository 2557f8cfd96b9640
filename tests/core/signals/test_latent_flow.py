"""Displacement read in a latent, on latents whose motion is known."""

from itertools import islice

import pytest
import torch

from vmt.demo.camera_accuracy import agreement, camera_displacement, camera_scenes
from vmt.demo.sampling import clean_latent, load_vae
from vmt.demo.train import VAE_FILE, WEIGHTS
from vmt.errors import InputError, StateError
from vmt.signals.attention_flow import AttentionFlowConfig
from vmt.signals.block_matching import displacement_and_surprise
from vmt.signals.latent_flow import FAR, _pictures, extract_latent_flow, latent_flow_loss, matched_size
from vmt.synthetic import render
from vmt.token_grid import TokenGrid

GRID = TokenGrid(3, 8, 10)
CONFIG = AttentionFlowConfig(span=2)


def noise(seed=0, batch=1, frames=3, height=16, width=20):
    return torch.randn(batch, 16, frames, height, width, generator=torch.Generator().manual_seed(seed))


def rolled(dy, dx, first=None):
    """A clip whose every frame is the one before, moved by whole cells."""
    first = noise(frames=1) if first is None else first
    return torch.cat([first.roll((dy * f, dx * f), (3, 4)) for f in range(3)], 2)


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -1), (-1, 1)])
def test_a_translation_is_read(shift):
    flow = extract_latent_flow(rolled(*shift), GRID, CONFIG)
    assert flow.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    for (i, j), found in zip(flow.pairs.tolist(), flow.displacement[:, 5:-5, 5:-5], strict=True):
        expected = torch.tensor(shift, dtype=torch.float32) * (j - i)
        torch.testing.assert_close(found, expected.expand_as(found), atol=0.15, rtol=0)


def test_the_ground_under_a_moving_camera_is_read():
    """On drawn clips through the VAE: panned, zoomed, rolled and shaken."""
    vae = load_vae(WEIGHTS / VAE_FILE)
    grid, told = TokenGrid(9, 8, 8), {}
    for scene in islice(camera_scenes(), 40):
        if scene.camera_motion in told:
            continue
        clip = render(scene)
        latent = clean_latent(vae, clip.frames[None])
        flow = extract_latent_flow(latent, grid, CONFIG)
        told[scene.camera_motion] = agreement(
            flow.displacement, *camera_displacement(clip.camera, flow.pairs, (16, 16), 8)
        )
    assert len(told) == 4 and min(told.values()) > 0.4, told


@pytest.mark.parametrize("grid, size", [((3, 8, 8), (16, 16)), ((21, 30, 52), (20, 35)), ((21, 45, 80), (18, 32))])
def test_videos_of_any_size_are_compared_by_equal_parts(grid, size):
    assert matched_size(TokenGrid(*grid)) == size


def test_a_larger_video_moves_as_a_smaller_one():
    small, large = rolled(0, 1), rolled(0, 1).repeat_interleave(3, 3).repeat_interleave(3, 4)
    flow = extract_latent_flow(large, TokenGrid(3, 24, 30), CONFIG)
    torch.testing.assert_close(flow.displacement, extract_latent_flow(small, GRID, CONFIG).displacement)
    assert latent_flow_loss(flow, small) < 1e-10  # a clip is compared by parts of its frame, not by cells


@pytest.mark.parametrize("size", [(15, 20), (16, 19), (15, 19)])
def test_sizes_that_tokens_do_not_divide(size):
    """The host pads such a latent; the last tokens are cut short."""
    flow = extract_latent_flow(noise(height=size[0], width=size[1]), GRID, CONFIG)
    assert flow.displacement.shape == (3, 16, 20, 2)
    assert latent_flow_loss(flow, noise(1, height=size[0], width=size[1])) > 0


def test_the_loss_is_zero_on_the_reference_and_grows_with_the_difference():
    reference = rolled(0, 1)
    flow = extract_latent_flow(reference, GRID, CONFIG)
    losses = [latent_flow_loss(flow, clip).item() for clip in (reference, rolled(0, 0), rolled(0, -1))]
    assert losses[0] < 1e-10 and losses[0] < losses[1] < losses[2]
    # What moves is followed whatever it looks like: another clip with that motion is nearer than one without.
    other = noise(5, frames=1)
    assert latent_flow_loss(flow, rolled(0, 1, other)) < 0.5 * latent_flow_loss(flow, rolled(0, 0, other))
    assert latent_flow_loss(flow, rolled(0, 1, 0.01 * other)) < 0.5 * latent_flow_loss(flow, rolled(0, 0, other))


def test_the_loss_by_its_formula():
    """And so in squared fractions of the frame, nearly surprise * e^2 where the error is small."""
    flow = extract_latent_flow(rolled(0, 0), GRID, AttentionFlowConfig(span=1, weight="none"))
    clip = torch.lerp(rolled(0, 0), rolled(0, 1), 0.3)
    (first, second), wanted = _pictures(clip, GRID, flow.pairs), torch.zeros(2, 16, 20, 2)
    moved, surprise = displacement_and_surprise(first, second, wanted)
    square = moved.square().sum(-1)
    expected = (surprise * square / (1 + square / FAR**2)).mean().item() / (16 * 20)
    assert latent_flow_loss(flow, clip).item() == pytest.approx(expected, rel=1e-4)


def test_a_clip_that_stands_is_pulled():
    """Where it matches itself sharply, its displacement hardly changes with it: the loss does not go by that alone."""
    flow = extract_latent_flow(rolled(0, 2), GRID, AttentionFlowConfig(span=1, weight="none"))
    clip = rolled(0, 0).requires_grad_()
    moved, _ = displacement_and_surprise(*_pictures(clip, GRID, flow.pairs), flow.displacement)
    squared = (moved - flow.displacement).square().sum(-1).mean()
    (by_loss,), (by_square,) = (
        torch.autograd.grad(loss, clip) for loss in (16 * 20 * latent_flow_loss(flow, clip).sum(), squared)
    )
    assert by_loss.norm() > 5 * by_square.norm()


def test_gradient_against_finite_differences():
    flow = extract_latent_flow(rolled(0, 1), GRID, CONFIG)
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
    flow = extract_latent_flow(rolled(0, 1), GRID, CONFIG)
    mask = torch.zeros(8, 10)
    mask[:, :4] = 1
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
    with pytest.raises(InputError, match="has 2 latent frames, the reference 3"):
        latent_flow_loss(extract_latent_flow(noise(), GRID, CONFIG), noise(frames=2))
