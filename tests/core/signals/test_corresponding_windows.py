import pytest
import torch

from vmt.errors import InputError
from vmt.features import MotionFeatures
from vmt.signals.attention_flow import AttentionFlowConfig, extract
from vmt.signals.corresponding_windows import corresponding_window_loss
from vmt.signals.windows import window_size, window_tokens
from vmt.token_grid import TokenGrid

GRID = TokenGrid(5, 6, 7)


def random_keys(grid=GRID, heads=2, dim=4, seed=0, dtype=torch.float64, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, grid.num_tokens, heads, dim, generator=generator, dtype=dtype)


def flow_of(queries, keys, **config):
    features = MotionFeatures(GRID, {0: queries}, {0: keys}, "pre", 0.5, torch.zeros(1), "test")
    config = {"span": 3, "radius": 1, "tile": (2, 2), "centre": "match", **config}
    return extract(features, AttentionFlowConfig(**config))


@pytest.fixture
def flow():
    return flow_of(random_keys(seed=1), random_keys(seed=2))


def slowly(flow, keys):
    """The definition, one window at a time."""
    size, means = window_size(flow.grid, flow.config.radius), {}
    for (i, j), centres in zip(flow.pairs.tolist(), flow.blocks[0].centres, strict=True):
        for s, tokens in enumerate(window_tokens(centres, size, flow.grid)):
            means[i, j - i, s] = keys[0, j * flow.grid.per_frame + tokens].flatten(1).mean(0)
    change = square = 0.0
    for (i, d, s), mean in means.items():
        if (i, d + 1, s) in means:
            change += (means[i, d + 1, s] - mean).square().sum()
            square += (means[i, d + 1, s].square() + mean.square()).sum() / 2
    return change / square


def test_fast_equals_slow(flow):
    keys = random_keys(seed=3)
    torch.testing.assert_close(corresponding_window_loss(flow, {0: keys})[0], slowly(flow, keys), rtol=1e-12, atol=0)


def test_videos_of_a_batch_are_apart(flow):
    one, two = random_keys(seed=3), random_keys(seed=4)
    both = corresponding_window_loss(flow, {0: torch.cat([one, two])})
    assert both.tolist() == pytest.approx([corresponding_window_loss(flow, {0: k}).item() for k in (one, two)])


def test_vectors_count_not_their_channel_means(flow):
    """A public implementation averages the channels, and sees nothing here."""
    keys = random_keys(seed=3)
    keys = keys - keys.mean(-1, keepdim=True)
    assert corresponding_window_loss(flow, {0: keys}).item() > 0.1


def test_order_inside_a_window_does_not_count():
    whole = flow_of(random_keys(seed=1), random_keys(seed=2), radius=None)
    keys = random_keys(seed=3)
    order = torch.randperm(GRID.per_frame, generator=torch.Generator().manual_seed(0))
    shuffled = GRID.split_frames(keys)[:, :, order].flatten(1, 2)
    before, after = (corresponding_window_loss(whole, {0: k}) for k in (keys, shuffled))
    torch.testing.assert_close(before, after)


def test_a_still_clip_in_the_windows_of_a_still_reference_has_none():
    still = random_keys(TokenGrid(1, 6, 7), dim=64).repeat(1, GRID.frames, 1, 1) * 3
    own = flow_of(still, still)
    assert corresponding_window_loss(own, {0: random_keys(seed=4)}).item() > 0.1
    frame = random_keys(TokenGrid(1, 6, 7), seed=5)
    assert corresponding_window_loss(own, {0: frame.repeat(1, GRID.frames, 1, 1)}).item() < 1e-24


def test_gradient_is_that_of_finite_differences_with_the_mean_square_held(flow):
    keys = random_keys(seed=3).requires_grad_()
    loss = corresponding_window_loss(flow, {0: keys})
    gradient = torch.autograd.grad(loss.sum(), keys)[0]
    # The loss does not change with the keys' scale, so with the mean square held it grows as its square.
    assert (gradient * keys).sum().item() == pytest.approx(2 * loss.item())


def test_one_distance_alone_is_refused():
    near = flow_of(random_keys(seed=1), random_keys(seed=2), span=1)
    with pytest.raises(InputError, match="Raise span"):
        corresponding_window_loss(near, {0: random_keys(seed=3)})
