import dataclasses

import pytest
import torch

from tests.core.signals.test_displacement import slow_displacement
from vmt.errors import InputError, StateError
from vmt.features import MotionFeatures
from vmt.signals.attention_flow import TRUSTED_GAIN, AttentionFlowConfig, attention_flow_loss, extract
from vmt.signals.matching import coarse_match
from vmt.signals.windows import window_size
from vmt.token_grid import TokenGrid

PUBLISHED = AttentionFlowConfig(span=3, radius=10, tile=(3, 4), weight="none", centre="match")
DENSE = AttentionFlowConfig(radius=None)


def config(**changes):
    return dataclasses.replace(AttentionFlowConfig(centre="match"), **changes)


def away_from_border(grid, shift, margin=2):
    """(S,) tokens whose target, rolled round the frame, is `margin` tokens or more from the border."""
    size = torch.tensor([grid.height, grid.width])
    target = (grid.positions() + torch.tensor(shift)) % size
    return ((target >= margin) & (target < size - margin)).all(-1)


def error_of(displacement_tok, grid, shift):
    """(S,) distance in tokens to the displacement of a rolled frame."""
    size = torch.tensor([grid.height, grid.width])
    exact = (grid.positions() + torch.tensor(shift)) % size - grid.positions()
    return (displacement_tok - exact).norm(dim=-1)


# ---- known answers


@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (0, 3), (-3, 4), (2, -5), (8, -12), (12, 20)])
def test_synthetic_translation(rolled, shift):
    """Random features of the 1.3B model's size, moved as a whole: the test that the public code fails."""
    features = rolled(30, 52, shift, heads=12, dim=128)
    inner = away_from_border(features.grid, shift)
    for temperature, mean_limit, most_limit in ((1.0, 0.05, 0.1), (2.0, 0.02, 0.04)):
        flow = extract(features, dataclasses.replace(PUBLISHED, temperature=temperature)).blocks[0]
        error = error_of(flow.displacement_tok[0], features.grid, shift)[inner]
        assert error.mean() < mean_limit and error.quantile(0.95) < most_limit
        assert flow.confidence[0, inner].median() > 0.9


def test_coordinates_relative_to_the_window_would_be_noticed(rolled):
    """A re-creation of the public defect: without its centre a translation cancels, whatever the shift."""
    for shift in ((2, 0), (-3, 4)):
        features = rolled(16, 20, shift)
        flow = extract(features, config(radius=3)).blocks[0]
        inner = away_from_border(features.grid, shift, margin=4)
        absolute = flow.displacement_tok[0]
        relative = absolute - (flow.centres[0] - features.grid.positions())
        assert error_of(absolute, features.grid, shift)[inner].max() < 0.1
        assert relative[inner].abs().max() < 0.1
        assert error_of(relative, features.grid, shift)[inner].min() > 1


@pytest.mark.parametrize("shift", [(1, 0), (0, -2), (2, 3), (-5, 7)])
@pytest.mark.parametrize("settings", [config(temperature=2.0), config(temperature=2.0, radius=None),
                                      config(temperature=2.0, tile=(3, 4)), config(target="argmax"),
                                      config(temperature=2.0, heads="mean_flow", radius=1),
                                      config(head_indices=(1, 2))])  # fmt: skip
def test_leaving_content_is_flagged_and_the_rest_recovered(random_frame, features_of, shift, settings):
    """Content moves out of the frame and new content comes in, up to the border and beyond any window."""
    rows, cols = 14, 18
    world = random_frame(rows + 10, cols + 14, heads=4)
    first = world[5 : 5 + rows, 7 : 7 + cols]
    second = world[5 - shift[0] : 5 - shift[0] + rows, 7 - shift[1] : 7 - shift[1] + cols]
    features = features_of([first, second])
    flow = extract(features, settings).blocks[0]
    target = features.grid.positions() + torch.tensor(shift)
    stays = ((target >= 0) & (target < torch.tensor([rows, cols]))).all(-1)
    error = (flow.displacement_tok[0] - torch.tensor(shift)).norm(dim=-1)
    trusted = flow.confidence[0] > 0.5
    # Whatever is trusted is right; what stays is trusted; what leaves is not.
    assert error[trusted].max() < 0.4
    tiled_border = settings.tile != (1, 1)
    assert trusted[stays].float().mean() > (0.85 if tiled_border else 0.95)
    assert trusted[~stays].float().mean() < 0.05


def test_tokens_whose_match_lies_beyond_their_window_are_flagged(random_frame, features_of):
    """One small thing moves against a still ground; its tile's window looks only around the ground."""
    first = random_frame(9, 12)
    second = first.clone()
    second[6, 8], second[0, 0] = first[0, 0], first[6, 8]  # neither is the middle of its tile
    features = features_of([first, second])
    flow = extract(features, config(temperature=2.0, tile=(3, 4), radius=2)).blocks[0]
    confidence = flow.confidence[0].reshape(9, 12)
    assert confidence[0, 0] == 0 and confidence[6, 8] == 0
    assert confidence.flatten().sort().values[2] > 0.9
    own_windows = extract(features, config(temperature=2.0, radius=2)).blocks[0]
    assert own_windows.confidence[0].min() > 0.9
    torch.testing.assert_close(own_windows.displacement_tok[0, 0], torch.tensor([6.0, 8.0]), atol=0.05, rtol=0)


def test_a_lookalike_without_a_match_of_its_own_is_flagged(random_frame, features_of):
    first = random_frame(6, 8)
    first[5, 7] = 0.8 * first[0, 0]
    second = first.clone()
    second[5, 7] = random_frame(1, 1, seed=3)[0, 0]
    confidence = extract(features_of([first, second]), config(temperature=2.0)).blocks[0].confidence[0]
    assert confidence[-1] < 0.01 and confidence[:-1].min() > 0.9


def test_displacement_grows_with_frame_distance(rolled):
    features = rolled(14, 16, (1, -2), num_frames=4)
    flow = extract(features, config(span=3, temperature=2.0))
    for pair, (i, j) in enumerate(flow.pairs.tolist()):
        shift = (j - i, -2 * (j - i))
        inner = away_from_border(features.grid, shift)
        assert error_of(flow.blocks[0].displacement_tok[pair], features.grid, shift)[inner].mean() < 0.02


# ---- there and back


def slow_middles(q, k, i, j, per_frame, centre):
    """Token in frame j that each token of frame i is looked for around, by its definition."""
    middles = []
    for s in range(per_frame):
        scores = [
            sum(q[0, i * per_frame + s, n] @ k[0, j * per_frame + t, n] for n in range(q.shape[2])).item()
            / (q.shape[2] * q.shape[3] ** 0.5)
            for t in range(per_frame)
        ]
        best = max(range(per_frame), key=lambda t: scores[t])
        trusted = centre == "match" or (centre == "trusted" and scores[best] - scores[s] > TRUSTED_GAIN)
        middles.append(best if trusted else s)
    return middles


def slow_both_ways(reference, q, k, grid, settings):
    """(P, S, 2): half of what leaves a place less what comes back to it, in windows around the reference's middles."""
    window, ways = window_size(grid, settings.radius), []
    pairs = [(i, j) for i in range(3) for j in range(i + 1, 3)]
    for way in (pairs, [(j, i) for i, j in pairs]):
        centres = torch.zeros(len(pairs), grid.per_frame, 2, dtype=torch.int64)
        for p, (i, j) in enumerate(way):
            for s, middle in enumerate(slow_middles(*reference, i, j, grid.per_frame, settings.centre)):
                for axis, place in enumerate(divmod(middle, grid.width)):
                    last = (grid.height, grid.width)[axis] - 1 - settings.radius
                    centres[p, s, axis] = min(max(place, settings.radius), last)
        per_head = settings.heads == "mean_flow"
        given = torch.tensor(way), centres, window, grid, settings.temperature, per_head
        ways.append(slow_displacement(q, k, *given))
    return (ways[0] - ways[1]) / 2


@pytest.mark.parametrize("heads", ["mean_logits", "mean_flow"])
@pytest.mark.parametrize("centre", ["own", "match", "trusted"])
def test_both_ways_against_the_definition(centre, heads):
    settings = config(centre=centre, heads=heads, radius=1, temperature=1.3, weight="motion")
    grid, generator = TokenGrid(3, 4, 5), torch.Generator().manual_seed(0)
    reference, generated = 2 * torch.randn(2, 2, 1, 60, 3, 4, generator=generator, dtype=torch.float64)
    if centre == "trusted":
        middles = slow_middles(*reference, 0, 1, 20, centre)
        assert 0 < sum(middle != s for s, middle in enumerate(middles)) < 20, "some are, and some are not"
    wanted = slow_both_ways(reference, *reference, grid, settings)
    moved = slow_both_ways(reference, *generated, grid, settings)
    weight = 0.3 + 0.7 * wanted.norm(dim=-1) / wanted.norm(dim=-1).max()
    weight = weight * torch.tensor([[1.0], [0.8], [1.0]], dtype=torch.float64)  # of frames 1, 2 and 1 apart
    expected = (weight * (moved - wanted).square().sum(-1)).sum() / weight.sum() / 20

    features = MotionFeatures(grid, {0: reference[0]}, {0: reference[1]}, "pre", 0.5, torch.zeros(1), "random")
    flow = extract(features, settings)
    torch.testing.assert_close(flow.blocks[0].both_ways_tok.double(), wanted, atol=1e-5, rtol=0)
    loss = attention_flow_loss(flow, {0: generated[0]}, {0: generated[1]}, both_ways=True)
    assert loss.dtype == torch.float64 and loss.item() == pytest.approx(expected.item(), rel=1e-5)
    one_way = attention_flow_loss(flow, {0: generated[0]}, {0: generated[1]})
    assert one_way.item() != pytest.approx(expected.item(), rel=1e-2)


@pytest.mark.parametrize("centre", ["own", "match", "trusted"])
def test_a_still_clip_does_not_move_at_its_borders(random_frame, features_of, centre):
    """Its ground is nearly even: read one way, what a window holds draws its borders inwards."""
    still, other = (features_of([0.3 * random_frame(6, 7, seed=seed)] * 3) for seed in (0, 1))
    flow = extract(still, config(centre=centre, radius=1))
    there = flow.blocks[0].displacement_tok.reshape(3, 6, 7, 2)
    if centre == "own":
        assert there[:, 0, :, 0].min() > 0.5 and there[:, -1, :, 0].max() < -0.5
    assert there.abs().max() > 0.5 and flow.blocks[0].both_ways_tok.abs().max() == 0
    losses = [attention_flow_loss(flow, other.queries, other.keys, both_ways=both).item() for both in (False, True)]
    assert losses[0] > 1e-6 and losses[1] == 0


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("settings", [AttentionFlowConfig(), DENSE, config(heads="mean_flow", tile=(3, 4))])
def test_single_precision_is_as_good_as_double(rolled, settings, both_ways):
    given = rolled(7, 9, (1, -1), num_frames=3), rolled(7, 9, (0, 1), num_frames=3, seed=1)
    results = []
    for dtype in (torch.float32, torch.float64):
        reference, generated = (
            dataclasses.replace(f, queries={0: f.queries[0].to(dtype)}, keys={0: f.keys[0].to(dtype)}) for f in given
        )
        flow = extract(reference, settings)
        q = generated.queries[0].clone().requires_grad_()
        loss = attention_flow_loss(flow, {0: q}, generated.keys, both_ways=both_ways)
        (gradient,) = torch.autograd.grad(loss.sum(), q)
        results.append((flow.blocks[0].displacement_tok, loss.detach().double(), gradient.double()))
    (single, loss, gradient), (double, exact_loss, exact_gradient) = results
    torch.testing.assert_close(single, double, atol=1e-4, rtol=0)
    torch.testing.assert_close(loss, exact_loss, rtol=1e-4, atol=0)
    assert (gradient - exact_gradient).norm() < 1e-4 * exact_gradient.norm()


# ---- invariants


def test_mirrored_input_mirrors_displacement(random_frame, features_of):
    first = random_frame(7, 9)
    frames = [first, 0.7 * first.roll((1, 2), (0, 1)) + random_frame(7, 9, seed=1)]
    for settings in (config(), config(radius=None), config(target="argmax")):
        plain = extract(features_of(frames), settings).blocks[0].displacement_tok.reshape(7, 9, 2)
        mirrored = extract(features_of([frame.flip(1) for frame in frames]), settings)
        mirrored = mirrored.blocks[0].displacement_tok.reshape(7, 9, 2)
        torch.testing.assert_close(mirrored.flip(1), plain * torch.tensor([1.0, -1.0]), atol=1e-4, rtol=0)
        assert plain[..., 1].abs().mean() > 0.5


def test_windowed_equals_dense_where_the_window_covers_the_frame(rolled):
    features = rolled(6, 8, (1, 1), num_frames=3)
    other = rolled(6, 8, (0, 2), num_frames=3, seed=4)
    for target in ("soft", "argmax"):
        dense, windowed = (extract(features, config(radius=radius, target=target)) for radius in (None, 8))
        torch.testing.assert_close(dense.blocks[0].displacement_tok, windowed.blocks[0].displacement_tok)
        losses = [attention_flow_loss(flow, other.queries, other.keys) for flow in (dense, windowed)]
        torch.testing.assert_close(*losses)


@pytest.mark.parametrize("weight", ["motion", "none", "confidence", "motion_confidence"])
@pytest.mark.parametrize("radius", [2, None])
def test_the_same_features_lose_nothing_and_others_do(rolled, radius, weight):
    features, other = rolled(8, 8, (1, 0), num_frames=4), rolled(8, 8, (0, 1), num_frames=4)
    flow = extract(features, config(radius=radius, weight=weight))
    assert attention_flow_loss(flow, features.queries, features.keys).item() < 1e-10
    assert attention_flow_loss(flow, other.queries, other.keys).item() > 1e-4


def test_each_sample_of_a_batch_has_its_own_loss(rolled):
    features = rolled(6, 7, (1, 0), num_frames=3)
    others = [rolled(6, 7, shift, num_frames=3).queries[0] for shift in ((0, 1), (1, 0), (2, 2))]
    flow = extract(features)
    together = attention_flow_loss(flow, {0: torch.cat(others)}, {0: torch.cat(others)})
    alone = torch.cat([attention_flow_loss(flow, {0: one}, {0: one}) for one in others])
    assert together.shape == (3,) and together[1] < 1e-10
    torch.testing.assert_close(together, alone)


def analytic_features(height, width, motion):
    """q and k whose match score falls with the squared distance to pos + motion(pos): (row, col) as frame fractions."""
    grid, size = TokenGrid(3, height, width), torch.tensor([height, width], dtype=torch.float64)
    pos = grid.positions(dtype=torch.float64)
    queries, keys = [], []
    for frame in range(3):
        # One token wide at 16 x 24, and as wide in the frame at any other size.
        sharp = (24 / width) ** 2 * 1.5
        target = pos + motion((pos + 0.5) / size, frame) * size
        queries.append(torch.cat([2 * target, torch.ones(len(pos), 1)], -1) * sharp * 3**0.5)
        keys.append(torch.cat([pos, -pos.square().sum(-1, keepdim=True)], -1))
    tokens = (torch.cat(some)[None, :, None] for some in (queries, keys))
    queries, keys = tokens
    return MotionFeatures(grid, {0: queries}, {0: keys}, "pre", 0.5, torch.zeros(1), "analytic")


def reference_motion(place, frame):
    row, col = place.unbind(-1)
    return torch.stack([0.10 * (row - 0.5) * (col - 0.5), 0.08 * torch.sin(3 * row + frame)], -1)


def generated_motion(place, frame):
    col = place[..., 1]
    return torch.stack([0.05 * (col - 0.5), 0.06 * torch.cos(2 * col + frame)], -1)


@pytest.mark.parametrize("weight", ["none", "motion"])
def test_loss_does_not_depend_on_resolution(weight):
    losses = []
    for scale in (1, 2):
        size = 16 * scale, 24 * scale
        # The window is as large in the frame at both sizes.
        flow = extract(analytic_features(*size, reference_motion), config(radius=5 * scale, weight=weight))
        other = analytic_features(*size, generated_motion)
        losses.append(attention_flow_loss(flow, other.queries, other.keys).item())
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] > 1e-4


def test_loss_does_not_depend_on_clip_length_or_number_of_blocks(rolled):
    losses = []
    for num_frames in (3, 6):
        reference, other = rolled(8, 8, (1, 0), num_frames), rolled(8, 8, (0, 1), num_frames)
        flow = extract(reference, config(span=1, weight="none"))
        losses.append(attention_flow_loss(flow, other.queries, other.keys).item())
    twice = MotionFeatures(reference.grid, {n: reference.queries[0] for n in (0, 4)},
                           {n: reference.keys[0] for n in (0, 4)}, "pre", 0.5, reference.latent, "two")  # fmt: skip
    tapped = {0: other.queries[0], 4: other.queries[0]}
    losses.append(attention_flow_loss(extract(twice, config(span=1, weight="none")), tapped, tapped).item())
    assert losses[1] == pytest.approx(losses[0], rel=0.03) and losses[2] == pytest.approx(losses[1], rel=1e-5)


def test_loss_by_hand():
    """Two tokens side by side, attention on one place: the moved one is 1 token off, the other right."""
    grid = TokenGrid(2, 1, 2)
    sharp = 1e4 * torch.eye(2)
    keys = torch.eye(2).repeat(2, 1).reshape(1, 4, 1, 2)

    def queries(first, second):  # where token 0 and token 1 of frame 0 go
        return torch.stack([sharp[first], sharp[second], *sharp]).reshape(1, 4, 1, 2)

    features = MotionFeatures(grid, {0: queries(1, 1)}, {0: keys}, "pre", 0.5, torch.zeros(1), "two tokens")
    stays = {0: queries(0, 1)}
    for weight, expected in (("none", 1 / 2 / 2), ("motion", 1.0 / 1.3 / 2)):
        flow = extract(features, config(weight=weight, radius=None))
        assert flow.blocks[0].displacement_tok[0].tolist() == [[0, 1], [0, 0]]
        assert attention_flow_loss(flow, stays, {0: keys}).item() == pytest.approx(expected)
        moved_one_only = attention_flow_loss(flow, stays, {0: keys}, mask=torch.tensor([[1.0, 0.0]]))
        assert moved_one_only.item() == pytest.approx(1 / 2)
        assert attention_flow_loss(flow, stays, {0: keys}, mask=torch.tensor([[0.0, 3.0]])).item() == 0


def test_nearer_frames_count_more(rolled):
    """The same error put on one frame pair only: distances 1, 2, 3 weigh 1, .9, .8."""
    features = rolled(4, 5, (0, 0), num_frames=4)
    losses = {}
    for pair, (i, j) in enumerate(extract(features, config(span=3)).pairs.tolist()):
        flow = extract(features, config(span=3, weight="none", radius=None))
        flow.blocks[0].displacement_tok[pair] += 0.5
        losses[i, j] = attention_flow_loss(flow, features.queries, features.keys).item()
    assert losses[0, 2] / losses[0, 1] == pytest.approx(0.9, rel=0.01)
    assert losses[0, 3] / losses[2, 3] == pytest.approx(0.8, rel=0.01)


def test_mask_of_one_frame_serves_all_and_a_mask_per_frame_follows_its_frame(rolled):
    features, other = rolled(5, 6, (1, 0), num_frames=3), rolled(5, 6, (0, 1), num_frames=3)
    flow = extract(features)
    mask = torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
    losses = [attention_flow_loss(flow, other.queries, other.keys, mask=some)
              for some in (mask, mask.flatten(), mask.expand(3, 5, 6), 7 * mask)]  # fmt: skip
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0])
    first_frame_only = torch.zeros(3, 5, 6)
    first_frame_only[0] = mask
    assert attention_flow_loss(flow, other.queries, other.keys, mask=first_frame_only) != losses[0]


# ---- gradient, sizes, settings


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("settings", [config(), config(heads="mean_flow", weight="none"), DENSE])
def test_gradient_against_finite_differences(rolled, settings, both_ways):
    flow = extract(rolled(3, 4, (1, 0), num_frames=3, dim=4), settings)
    generated = torch.randn(2, 2, 36, 2, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    q, k = generated[0].requires_grad_(), generated[1].requires_grad_()

    def loss(q, k):
        return attention_flow_loss(flow, {0: q}, {0: k}, both_ways=both_ways)

    assert torch.autograd.gradcheck(loss, (q, k), fast_mode=True)
    assert loss(q, k).dtype == torch.float64


@pytest.mark.parametrize("size", [(16, 28), (23, 40), (30, 52), (52, 30), (8, 8), (2, 3), (1, 5)])
def test_any_grid_and_head_count_runs(rolled, size):
    """Neither the grid nor the number of tokens need divide by tile or heads."""
    for settings in (AttentionFlowConfig(), PUBLISHED):
        features = rolled(*size, (1, 1), num_frames=2, heads=5, dim=6)
        flow = extract(features, settings)
        q = features.queries[0].clone().requires_grad_()
        attention_flow_loss(flow, {0: q}, {0: features.keys[0].flip(1)}).sum().backward()
        assert flow.blocks[0].displacement_tok.shape == (1, size[0] * size[1], 2)
        assert torch.isfinite(q.grad).all() and q.grad.abs().sum() > 0


@pytest.mark.parametrize("memory_limit", [1, 2**29])
def test_the_generated_video_may_be_on_another_device_than_the_flow(rolled, memory_limit):
    """The meta device stands for a GPU: it refuses to mix with tensors on the CPU as well."""
    features = rolled(5, 6, (1, 0), num_frames=3)
    for heads in ("mean_logits", "mean_flow"):
        flow = extract(features, config(heads=heads, head_indices=(1,)))
        q = torch.empty(2, *features.queries[0].shape[1:], device="meta", requires_grad=True)
        loss = attention_flow_loss(flow, {0: q}, {0: q}, mask=torch.ones(5, 6), memory_limit=memory_limit)
        loss.sum().backward()
        assert loss.shape == (2,) and loss.device.type == q.grad.device.type == "meta"


def test_short_clips(rolled):
    for num_frames, pairs in ((2, 1), (3, 3)):
        assert len(extract(rolled(4, 5, (0, 1), num_frames), config(span=4)).pairs) == pairs
    with pytest.raises(InputError, match="5 video frames"):
        extract(rolled(4, 5, (0, 1), 1))


def test_every_setting_changes_the_result(rolled):
    features, other = rolled(9, 12, (1, 2), num_frames=4), rolled(9, 12, (0, 1), num_frames=4, seed=1)

    def loss(**changes):
        return attention_flow_loss(extract(features, config(**changes)), other.queries, other.keys).item()

    changes = [{}, {"temperature": 0.5}, {"span": 1}, {"radius": 1}, {"radius": None}, {"tile": (3, 4)},
               {"heads": "mean_flow"}, {"head_indices": (0,)}, {"target": "argmax"}, {"weight": "none"},
               {"weight": "confidence"}, {"weight": "motion_confidence"}]  # fmt: skip
    assert len({round(loss(**some), 9) for some in changes}) == len(changes)


def test_half_precision_features_give_nearly_the_same_flow(rolled):
    features = rolled(8, 10, (1, 2))
    small = dataclasses.replace(features, queries={0: features.queries[0].half()}, keys={0: features.keys[0].half()})
    flows = [extract(some).blocks[0].displacement_tok for some in (features, small)]
    torch.testing.assert_close(*flows, atol=0.02, rtol=0)


def test_matches_brought_along_are_used_only_where_they_fit(rolled):
    features = rolled(5, 6, (1, 1))
    plain = extract(features, config()).blocks[0]
    coarse = coarse_match(features.queries[0], features.keys[0], extract(features).pairs, features.grid)
    brought = dataclasses.replace(features, matches={0: coarse})
    assert torch.equal(extract(brought, config()).blocks[0].displacement_tok, plain.displacement_tok)
    wrong = dataclasses.replace(coarse, match=torch.zeros_like(coarse.match))
    brought = dataclasses.replace(features, matches={0: wrong})
    assert not torch.equal(extract(brought, config()).blocks[0].centres, plain.centres)
    hotter = extract(brought, config(temperature=2.0)).blocks[0]
    assert torch.equal(hotter.centres, plain.centres)


# ---- refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; above 0"),
        ({"span": 0}, "span is 0"),
        ({"radius": -1}, "radius is -1"),
        ({"tile": (0, 1)}, "tile is"),
        ({"heads": "mean_qk"}, "mean_logits or mean_flow"),
        ({"target": "hard"}, "soft or argmax"),
        ({"weight": "speed"}, "motion or none or confidence or motion_confidence"),
    ],
)
def test_settings_that_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        config(**changes)


def test_features_that_do_not_fit_are_refused(rolled):
    features = rolled(5, 6, (1, 0), num_frames=3)
    flow = extract(features)
    with pytest.raises(InputError, match=r"measured on blocks \[0\], but queries and keys of blocks \[0\]"):
        attention_flow_loss(flow, {}, features.keys)
    smaller = rolled(5, 5, (1, 0), num_frames=3)
    with pytest.raises(InputError, match="do not fit a 3x5x6 token grid"):
        attention_flow_loss(flow, smaller.queries, smaller.keys)
    with pytest.raises(InputError, match=r"mask has shape \(6, 6\); \(5, 6\) or 3x5x6"):
        attention_flow_loss(flow, features.queries, features.keys, mask=torch.ones(6, 6))
    for bad in (torch.zeros(5, 6), -torch.ones(5, 6), torch.full((5, 6), float("nan"))):
        with pytest.raises(InputError, match="mask is empty or holds negative or NaN"):
            attention_flow_loss(flow, features.queries, features.keys, mask=bad)
    broken = dataclasses.replace(features, keys={0: features.keys[0] * float("inf")})
    with pytest.raises(StateError, match="features hold NaN or infinite"):
        extract(broken)


# ---- where a window lies


def _thing_on_an_even_ground(shift=(2, 3)):
    """Two frames of an even ground with a little noise, and a 3x3 thing of its own that moves by `shift`."""
    generator = torch.Generator().manual_seed(0)
    grid = TokenGrid(2, 16, 16)
    ground, thing = torch.randn(2, 1, 64, generator=generator), torch.randn(3, 3, 1, 64, generator=generator)
    frames = ground[0].expand(2, 16, 16, 1, 64) + 0.05 * torch.randn(2, 16, 16, 1, 64, generator=generator)
    frames[0, 4:7, 5:8] = thing
    frames[1, 4 + shift[0] : 7 + shift[0], 5 + shift[1] : 8 + shift[1]] = thing
    features = frames.reshape(1, -1, 1, 64)
    on = torch.zeros(16, 16, dtype=torch.bool)
    on[4:7, 5:8] = True
    uncovered = torch.zeros(16, 16, dtype=torch.bool)
    uncovered[4 + shift[0] : 7 + shift[0], 5 + shift[1] : 8 + shift[1]] = True
    motion = MotionFeatures(grid, {0: features}, {0: features}, "pre", 0.5, torch.zeros(1, 16, 2, 32, 32), "test")
    return motion, on.flatten(), ~(on | uncovered).flatten()


def test_trusted_windows_follow_the_thing_and_stay_on_the_ground():
    features, on, ground = _thing_on_an_even_ground()
    own = TokenGrid(2, 16, 16).positions()
    trusted, matched, stayed = (
        extract(features, config(centre=centre, radius=1)).blocks[0] for centre in ("trusted", "match", "own")
    )
    inner = ground & ((own > 0) & (own < 15)).all(-1)
    assert torch.equal(trusted.centres[0][inner].float(), own[inner])
    assert (matched.centres[0][inner].float() != own[inner]).any(-1).float().mean() > 0.5  # an even ground is anywhere
    expected = torch.tensor([2.0, 3.0]).expand(int(on.sum()), 2)
    torch.testing.assert_close(trusted.displacement_tok[0][on], expected, atol=0.3, rtol=0)
    assert (stayed.displacement_tok[0][on] - expected).norm(dim=-1).mean() > 1  # it has left windows of its own place


def test_trust_does_not_depend_on_the_temperature():
    features, _, _ = _thing_on_an_even_ground()
    cool, hot = (extract(features, config(temperature=t, radius=1)).blocks[0].centres for t in (0.5, 4.0))
    assert torch.equal(cool, hot)
