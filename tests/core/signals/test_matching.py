import math

import pytest
import torch

from vmt.errors import InputError, StateError
from vmt.signals.frame_pairs import frame_pairs
from vmt.signals.matching import coarse_match, pair_scores
from vmt.token_grid import TokenGrid


def test_mean_of_head_logits_is_the_definition():
    grid, heads, dim = TokenGrid(3, 2, 3), 4, 5
    q, k = torch.randn(2, 1, 18, heads, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pairs = torch.tensor([[0, 2], [1, 2]])
    scores = pair_scores(q, k, pairs, grid, temperature=1.7)
    per_head = pair_scores(q, k, pairs, grid, temperature=1.7, per_head=True)
    for p, (i, j) in enumerate(pairs.tolist()):
        for s, t in ((0, 0), (2, 5), (4, 1)):
            logits = (q[0, i * 6 + s] * k[0, j * 6 + t]).sum(-1) * 1.7 / dim**0.5
            torch.testing.assert_close(per_head[0, p, :, s, t], logits)
            torch.testing.assert_close(scores[0, p, 0, s, t], logits.mean())
    two_heads = pair_scores(q, k, pairs, grid, 1.7, head_indices=(3, 1))
    torch.testing.assert_close(two_heads[:, :, 0], per_head[:, :, [1, 3]].mean(2))


@pytest.mark.parametrize("head_indices", [None, (0, 2)])
def test_coarse_matches_against_the_definition(head_indices):
    """One token at a time, in Python's own numbers."""
    grid, temperature, num_heads, dim = TokenGrid(3, 4, 5), 1.7, 3, 4
    generator = torch.Generator().manual_seed(0)
    q, k = 2 * torch.randn(2, 1, 60, num_heads, dim, generator=generator, dtype=torch.float64)
    pairs, heads = torch.tensor([[0, 2], [2, 1]]), head_indices or range(num_heads)
    found = coarse_match(q, k, pairs, grid, temperature, head_indices)
    single = coarse_match(q.float(), k.float(), pairs, grid, temperature, head_indices)
    for p, (i, j) in enumerate(pairs.tolist()):
        scores = [
            [
                temperature * sum(float(q[0, 20 * i + s, n] @ k[0, 20 * j + t, n]) for n in heads)
                / len(heads) / math.sqrt(dim)
                for t in range(20)
            ]
            for s in range(20)
        ]  # fmt: skip
        for s, row in enumerate(scores):
            best = max(range(20), key=row.__getitem__)
            y, x = min(max(best // 5, 1), 2), min(max(best % 5, 1), 3)  # of three by three places within the frame
            near = sum(math.exp(row[5 * (y + dy) + x + dx]) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
            back = max(range(20), key=lambda token: scores[token][best])
            miss = (back // 5 - s // 5) ** 2 + (back % 5 - s % 5) ** 2
            expected = near / sum(map(math.exp, row)), math.exp(-miss / 2), (row[best] - row[s]) / temperature
            for coarse in (found, single):
                assert coarse.match[p, s] == best
                told = [getattr(coarse, sign)[p, s].item() for sign in ("peak", "consistency", "gain")]
                assert told == pytest.approx(expected, rel=1e-4, abs=1e-5)


def gradient_reach(score_of_frame):
    """Which (token, head) of frame 0's queries a score of token 5 depends on, for 12 heads on a 4x6 grid."""
    q, k = torch.randn(2, 1, 48, 12, 8, generator=torch.Generator().manual_seed(0))
    q.requires_grad_()
    score_of_frame(q, k)[5].sum().backward()
    return (q.grad[0].abs().sum(-1) > 0).nonzero().tolist()


def test_the_value_used_at_a_token_depends_on_that_token_only_and_on_every_head():
    grid, pairs = TokenGrid(2, 4, 6), torch.tensor([[0, 1]])
    ours = gradient_reach(lambda q, k: pair_scores(q, k, pairs, grid, 1.0)[0, 0, 0])
    assert ours == [[5, head] for head in range(12)]

    def public_defect(q, k):  # heads folded into the token axis: tokens and heads change places
        q, k = (x[:, :24].reshape(12, 24, 8).mean(0) if x is q else x[:, 24:].mean(2)[0] for x in (q, k))
        return q @ k.T

    assert gradient_reach(public_defect) != ours


def test_lower_precision_input_is_summed_in_float32(random_frame, features_of):
    features = features_of([random_frame(4, 4), random_frame(4, 4, seed=1)])
    scores = pair_scores(features.queries[0].half(), features.keys[0].bfloat16(), torch.tensor([[0, 1]]),
                         features.grid, 1.0)  # fmt: skip
    assert scores.dtype == torch.float32


def entering_from_the_left(random_frame, columns):
    """A frame and the same moved right by some columns, with new content on the left."""
    first = random_frame(12, 16)
    second = first.roll(columns, 1)
    second[:, :columns] = random_frame(12, columns, seed=9)
    return [first, second]


def test_content_that_leaves_the_frame_is_told_by_both_signs(random_frame, features_of):
    features = features_of(entering_from_the_left(random_frame, 3))
    coarse = coarse_match(features.queries[0], features.keys[0], frame_pairs(2, 1), features.grid, temperature=2.0)
    stays = torch.arange(16) < 13
    match, peak, consistency = (x.reshape(12, 16) for x in (coarse.match, coarse.peak, coarse.consistency))
    assert torch.equal(match[:, stays], torch.arange(192).reshape(12, 16)[:, stays].int() + 3)
    assert (peak[:, stays] > 0.99).all() and (consistency[:, stays] == 1).all()
    assert (peak[:, ~stays] < 0.5).all() and peak[:, ~stays].median() < 0.2
    assert (consistency[:, ~stays] < 0.2).float().mean() > 0.85


def test_a_match_that_another_token_claims_more_convincingly_is_inconsistent(random_frame, features_of):
    first = random_frame(6, 8)
    first[5, 7] = 0.8 * first[0, 0]  # a weaker lookalike, whose own content is not in frame 1
    second = first.clone()
    second[5, 7] = random_frame(1, 1, seed=3)[0, 0]
    features = features_of([first, second])
    coarse = coarse_match(features.queries[0], features.keys[0], frame_pairs(2, 1), features.grid, temperature=2.0)
    assert coarse.match[0, -1] == 0 and coarse.peak[0, -1] > 0.9
    assert coarse.consistency[0, -1] < 1e-3 and coarse.consistency[0, 0] == 1


def test_content_between_two_tokens_is_as_sure_as_on_one(random_frame, features_of):
    first = random_frame(6, 8)
    second = first.clone()
    second[2, 3] = second[2, 4] = (first[2, 3] + first[2, 4]) / 2
    features = features_of([first, second])
    coarse = coarse_match(features.queries[0], features.keys[0], frame_pairs(2, 1), features.grid, temperature=2.0)
    assert (coarse.peak[0, [2 * 8 + 3, 2 * 8 + 4]] > 0.95).all()


def test_matches_fit_the_settings_they_were_measured_with(rolled):
    features, pairs = rolled(5, 7, (1, 2), num_frames=4), frame_pairs(4, 2)
    coarse = coarse_match(features.queries[0], features.keys[0], pairs, features.grid, 1.5, (0,))
    assert coarse.fits(pairs, 1.5, (0,))
    assert not coarse.fits(frame_pairs(4, 3), 1.5, (0,))
    assert not coarse.fits(pairs, 1.0, (0,)) and not coarse.fits(pairs, 1.5, None)


def test_chunks_change_nothing(rolled):
    features = rolled(5, 7, (1, 2), num_frames=4)
    pairs = frame_pairs(4, 2)
    whole = coarse_match(features.queries[0], features.keys[0], pairs, features.grid)
    chunked = coarse_match(features.queries[0], features.keys[0], pairs, features.grid, memory_limit=1)
    assert torch.equal(whole.match, chunked.match) and torch.equal(whole.consistency, chunked.consistency)
    torch.testing.assert_close(whole.peak, chunked.peak)


def test_refusals(rolled):
    features = rolled(5, 7, (0, 0))
    pairs = frame_pairs(2, 1)
    with pytest.raises(InputError, match=r"Heads \(0, 2\) .* has heads 0 to 1"):
        coarse_match(features.queries[0], features.keys[0], pairs, features.grid, head_indices=(0, 2))
    broken = features.queries[0].clone()
    broken[0, 3] = float("nan")
    with pytest.raises(StateError, match="NaN or infinite"):
        coarse_match(broken, features.keys[0], pairs, features.grid)
