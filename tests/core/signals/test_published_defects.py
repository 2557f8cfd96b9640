"""Defects of a public release of FastVMT, made again: each fails a check that our code passes.

Others stand beside what they are about: coordinates without the window's centre in `test_attention_flow`, a bfloat16
latent in `test_optimize_latent`; those of a run in `tests/host/guidance`.
"""

import pytest
import torch

from tests.core.signals.test_corresponding_windows import flow_of, random_keys
from tests.core.signals.test_displacement import LiveBytes, every_key_can_be_reached_by_the_gradient
from tests.core.signals.test_windows import tokens_of, windows_are_full_lie_in_the_frame_and_hold_no_duplicate
from vmt.flow_matching import noised, seeded_noise, shifted_sigmas
from vmt.guidance.config import GuidanceConfig
from vmt.signals.corresponding_windows import corresponding_window_loss
from vmt.signals.displacement import soft_displacement
from vmt.signals.frame_pairs import distance_weights, frame_pairs
from vmt.signals.windows import window_centres, window_offsets, window_tokens
from vmt.token_grid import TokenGrid


def fails(check, *given) -> bool:
    try:
        check(*given)
    except AssertionError:
        return True
    return False


# ---- which values belong to which token


def tokens_keep_their_own_values(split):
    """Encode (token, head) in q: what is used at a token comes from that token, on every head."""
    grid, heads = TokenGrid(2, 4, 6), 12
    q = torch.stack([torch.arange(48.0)[:, None].expand(48, heads), torch.arange(heads).expand(48, heads)], -1)
    used = split(q[None].flatten(-2), grid, heads)
    assert torch.equal(used[0, :, :, :, 0].flatten(0, 1), torch.arange(48.0)[:, None].expand(48, heads))
    assert torch.equal(used[0, ..., 1], torch.arange(heads).float().expand(2, 24, heads))


def test_heads_taken_for_tokens_would_be_noticed():
    def released(q, grid, heads):
        by_head = q.unflatten(-1, (heads, -1))
        mean_of_twelve = by_head.unflatten(1, (-1, heads)).mean(2)  # (B, N/12, heads, D)
        return grid.split_frames(mean_of_twelve.flatten(1, 2))[..., None, :].expand(-1, -1, -1, heads, -1)

    def ours(q, grid, heads):
        return grid.split_frames(q.unflatten(-1, (heads, -1)))

    tokens_keep_their_own_values(ours)
    assert fails(tokens_keep_their_own_values, released)


# ---- which tokens a window holds


def elements_clamped(match, grid, radius):
    """Each element of a window moved inwards by itself: row to radius..h-1-radius, column likewise."""
    places = torch.stack([match // grid.width, match % grid.width], -1)[..., None, :]
    places = places + window_offsets((2 * radius + 1, 2 * radius + 1))
    last = torch.tensor([grid.height, grid.width]) - 1 - radius
    places = places.clamp(torch.tensor(radius), last)
    return places[..., 0] * grid.width + places[..., 1]


def test_windows_clamped_by_element_would_be_noticed():
    windows = windows_are_full_lie_in_the_frame_and_hold_no_duplicate
    windows(tokens_of, (30, 52), 10)
    assert fails(windows, elements_clamped, (30, 52), 10)
    grid = TokenGrid(2, 30, 52)
    reached = elements_clamped(torch.arange(1560)[None], grid, 10).unique()
    assert len(reached) == 320, "of 1560, as of the release"


def test_keys_out_of_reach_would_be_noticed():
    def released(queries, keys, pairs, centres, window, grid):
        q, k = grid.split_frames(queries)[0, 0, :, 0], grid.split_frames(keys)[0, 1, :, 0]
        tokens = elements_clamped(torch.arange(grid.per_frame), grid, window[0] // 2)
        share = torch.einsum("sd,skd->sk", q, k[tokens]).softmax(-1)
        return (share[..., None] * grid.positions()[tokens]).sum(1)[None, None] - grid.positions()

    every_key_can_be_reached_by_the_gradient(soft_displacement)
    assert fails(every_key_can_be_reached_by_the_gradient, released)


# ---- what a window's place counts for


def attention_on_one_place_gives_that_place(displacement):
    grid, pairs = TokenGrid(2, 5, 6), frame_pairs(2, 1)
    keys = torch.eye(30).expand(2, 30, 30).reshape(1, 60, 1, 30)
    for target in range(30):
        queries = 1e4 * torch.eye(30)[target].expand(1, 60, 1, 30)
        centres = window_centres(torch.full((1, 30), target), grid, 2)
        moved = displacement(queries, keys, pairs, centres, (5, 5), grid)
        assert torch.equal(moved[0, 0], grid.positions()[target] - grid.positions())


def test_a_checkerboard_over_the_coordinates_would_be_noticed():
    def released(queries, keys, pairs, centres, window, grid):
        tokens = window_tokens(centres, window, grid)[0]  # (S, K)
        place = grid.positions()[tokens]
        score = torch.einsum("sd,skd->sk", queries[0, :30, 0], keys[0, 30:, 0][tokens])
        even = (place.long() % 2 == 0).all(-1, keepdim=True)  # the probability of the others stays in the sum
        return (score.softmax(-1)[..., None] * place * even).sum(1)[None, None] - grid.positions()

    attention_on_one_place_gives_that_place(soft_displacement)
    assert fails(attention_on_one_place_gives_that_place, released)


# ---- corresponding windows


def differing_vectors_of_equal_mean_are_seen(loss):
    keys = random_keys(seed=3)
    keys = keys - keys.mean(-1, keepdim=True)
    assert loss(flow_of(random_keys(seed=1), random_keys(seed=2)), {0: keys}).item() > 0.1


def order_in_the_window_does_not_count(loss):
    flow = flow_of(random_keys(seed=1), random_keys(seed=2), radius=None)
    keys = random_keys(seed=3)
    frames = flow.grid.split_frames(keys).unbind(1)  # each in an order of its own
    shuffled = torch.cat([frame[:, torch.randperm(42)] for frame in frames], 1)
    torch.testing.assert_close(loss(flow, {0: keys}), loss(flow, {0: shuffled}))


@pytest.mark.parametrize("check", [differing_vectors_of_equal_mean_are_seen, order_in_the_window_does_not_count])
def test_a_window_loss_of_channel_means_slot_by_slot_would_be_noticed(check):
    def released(flow, keys):
        means = flow.grid.split_frames(keys[0]).mean((-1, -2))  # (B, F, S): one number a token
        total = torch.zeros(1, dtype=means.dtype)
        held = {tuple(pair): n for n, pair in enumerate(flow.pairs.tolist())}
        for (i, j), n in held.items():
            if (i, j + 1) in held:
                near, far = (
                    means[0, frame][window_tokens(flow.blocks[0].centres[p], (3, 3), flow.grid)]
                    if flow.config.radius
                    else means[0, frame].expand(42, 42)
                    for p, frame in ((n, j), (held[i, j + 1], j + 1))
                )
                total += (far - near).norm(dim=-1).mean()
        return total

    check(corresponding_window_loss)
    assert fails(check, released)


# ---- short clips


def short_clips_have_weights(weights):
    for frames in (2, 3, 4):
        pairs = frame_pairs(frames, 3)
        found = weights(pairs, 3)
        assert len(found) == len(pairs) and 0.8 - 1e-6 <= found.min() and found.max() == 1


def test_weights_laid_out_for_long_clips_would_be_noticed():
    def released(pairs, span):
        frames = int(pairs.max()) + 1
        per_frame = torch.linspace(1, 0.8, span)
        # one row of `span` weights for every frame that has so many behind it
        return torch.cat([per_frame for _ in range(frames - span)] + [per_frame[:n] for n in range(span - 1, 0, -1)])

    short_clips_have_weights(distance_weights)
    assert fails(short_clips_have_weights, released)


# ---- memory


def gradient_of_a_long_clip_stays_below_a_gigabyte(displacement):
    grid, pairs = TokenGrid(21, 30, 52), frame_pairs(21, 3)
    q, k = (torch.empty(1, grid.num_tokens, 1, 128, device="meta", requires_grad=True) for _ in range(2))
    centres = window_centres(torch.arange(1560).expand(57, -1), grid, 10, (3, 4)).to("meta")
    with LiveBytes() as live:
        displacement(q, k, pairs, centres, (21, 21), grid).sum().backward()
    assert live.peak < 1e9


def test_keys_laid_out_window_by_window_would_be_noticed():
    def released(queries, keys, pairs, centres, window, grid):
        tokens, moved = window_tokens(centres, window, grid), []
        q, k = grid.split_frames(queries)[0, :, :, 0], grid.split_frames(keys)[0, :, :, 0]
        for n, (i, j) in enumerate(pairs.tolist()):
            laid_out = k[j][tokens[n]]  # (S, K, D)
            moved.append(torch.einsum("sd,skd->sk", q[i], laid_out).softmax(-1))
        return torch.stack(moved)

    gradient_of_a_long_clip_stays_below_a_gigabyte(soft_displacement)
    assert fails(gradient_of_a_long_clip_stays_below_a_gigabyte, released)


# ---- sizes


def every_size_has_its_grid(split):
    """Still frames of any size are found not to have moved."""
    for height, width in ((256, 448), (368, 640), (480, 832), (832, 480), (720, 1280)):
        size = height // 16, width // 16
        frame = torch.randn(1, size[0] * size[1], 1, 64, generator=torch.Generator().manual_seed(height))
        frame = 16 * torch.nn.functional.normalize(frame, dim=-1)
        first, second, moved = split(frame.repeat(1, 2, 1, 1), (1, 16, 2, height // 8, width // 8))
        assert torch.equal(first, second) and first.shape[1:3] == size and moved.abs().max() < 0.05


def test_a_grid_of_one_size_would_be_noticed():
    def ours(q, latent_shape):
        grid = TokenGrid.from_latent_shape(latent_shape)
        centres = window_centres(torch.arange(grid.per_frame)[None], grid, 2)
        moved = soft_displacement(q, q, frame_pairs(2, 1), centres, (5, 5), grid)
        frames = grid.split_frames(q).unflatten(2, (grid.height, grid.width))
        return frames[:, 0], frames[:, 1], moved

    def released(q, latent_shape):
        try:
            frames = q.unflatten(1, (2, 30, 52))
        except RuntimeError as error:
            raise AssertionError(str(error)) from error
        return frames[:, 0], frames[:, 1], torch.zeros(())

    every_size_has_its_grid(ours)
    assert fails(every_size_has_its_grid, released)


# ---- noise


def one_seed_is_one_noise(noise):
    """Also where tensors are made elsewhere unless told: "meta" stands for an accelerator."""
    here = noise((2, 3), 5)
    with torch.device("meta"):
        assert noise((2, 3), 5).device == here.device and torch.equal(noise((2, 3), 5), here)


def test_noise_of_another_device_would_be_noticed():
    def released(shape, seed):
        device = torch.get_default_device()
        generator = torch.Generator("cpu").manual_seed(seed) if device.type == "cpu" else None
        return torch.randn(shape, generator=generator, device=device)

    one_seed_is_one_noise(seeded_noise)
    assert fails(one_seed_is_one_noise, released)


# ---- noise levels


def the_level_of_a_guided_step_is_the_schedules(level_at, strength):
    """Bit for bit, in the first ten of fifty steps that start at `strength`."""
    sigmas = shifted_sigmas(50, 7.0, start=strength)
    for step in range(10):
        level = level_at(sigmas, step)
        assert noised(torch.zeros(1), torch.ones(1), level) == sigmas[step]


@pytest.mark.parametrize("strength, found", [(0.75, False), (0.92, True), (1.0, True)])
def test_a_level_looked_up_by_a_bfloat16_timestep_would_be_noticed(strength, found):
    """Above 512 bfloat16 knows every fourth timestep: the nearest of the schedule is then another step's."""

    def ours(sigmas, step):
        return GuidanceConfig(sigma_end=0.0).guided_levels(sigmas[:-1].tolist())[step]

    def released(sigmas, step):
        timestep = (1000 * sigmas[step]).bfloat16().float()
        return sigmas[(1000 * sigmas - timestep).abs().argmin()]

    the_level_of_a_guided_step_is_the_schedules(ours, strength)
    assert fails(the_level_of_a_guided_step_is_the_schedules, released, strength) == found
