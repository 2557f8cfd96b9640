import itertools

import pytest
import torch

from vmt.half_size import half_clean, half_grid, half_latent, half_weights
from vmt.signals.attention_flow import AttentionFlowConfig
from vmt.token_grid import TokenGrid


@pytest.mark.parametrize(("sigma", "expected"), [(0.95, 0.905), (0.9, 0.818), (0.5, 1 / 3), (1.0, 1.0), (0.0, 0.0)])
def test_pooled_white_noise_has_the_noise_level_that_is_told(sigma, expected):
    noise = torch.randn(1, 16, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    x, level = half_latent(sigma * noise, torch.tensor(sigma))
    assert level.item() == pytest.approx(expected, abs=1e-3)
    assert x.std().item() == pytest.approx(level.item(), rel=0.01)


def test_what_is_clean_keeps_its_share():
    """(1 - s) clean + s noise becomes (1 - s') pooled clean + s' noise, sample by sample."""
    clean, noise = torch.randn(2, 2, 3, 2, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    sigma = torch.tensor([0.3, 0.8]).double()
    s = sigma.reshape(-1, 1, 1, 1, 1)
    x, level = half_latent((1 - s) * clean + s * noise, sigma)
    s = level.reshape(-1, 1, 1, 1, 1)
    assert torch.allclose(x, (1 - s) * half_clean(clean) + s * 2 * half_clean(noise))


def test_grids_agree_with_those_of_pooled_latents():
    for height, width in itertools.product(range(5, 14), repeat=2):
        pooled, _ = half_latent(torch.zeros(1, 1, 3, height, width), torch.tensor(0.5))
        whole = TokenGrid.from_latent_shape((3, height, width))
        assert half_grid(whole) == TokenGrid.from_latent_shape(pooled.shape)


def test_small_frames_have_no_half():
    assert half_grid(TokenGrid(5, 2, 9)) is None and half_grid(TokenGrid(5, 9, 2)) is None
    assert half_grid(TokenGrid(5, 3, 4)) == TokenGrid(5, 2, 2)


@pytest.mark.parametrize("frames", [1, 3])
def test_weights_are_means_over_the_tokens_that_become_one(frames):
    grid = TokenGrid(3, 3, 4)
    weights = torch.rand(frames, 3, 4, generator=torch.Generator().manual_seed(0))
    half = half_weights(weights.flatten(1) if frames > 1 else weights[0], grid)
    assert half.shape == (frames, 2, 2)
    assert torch.allclose(half[:, 0, 0], weights[:, :2, :2].mean((1, 2)))
    assert torch.allclose(half[:, 1, 1], weights[:, 2, 2:].mean(1)), "of an odd side only what is there"


def test_windows_cover_the_same_part_of_the_frame():
    published = AttentionFlowConfig(span=3, radius=10, tile=(3, 4)).at_half_size()
    assert (published.span, published.radius, published.tile) == (3, 5, (2, 2))
    assert AttentionFlowConfig(radius=None).at_half_size().radius is None
    assert AttentionFlowConfig(radius=1).at_half_size().radius == 1
    assert AttentionFlowConfig(radius=0).at_half_size().radius == 0
