"""Displacement of each token between two frames, read off the match scores inside its window.

Letters: B batch, P frame pairs, S tokens per frame, N score maps (1, or one per head), D channels, K window tokens.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.checkpoint import checkpoint

from ..token_grid import TokenGrid
from .matching import MEMORY_LIMIT, merged_heads, pair_scores, pairs_per_chunk, score_dtype, score_scale
from .window_scores import window_scores
from .windows import window_offsets, window_tokens

# Windows of so many times fewer places than a frame has are read place by place. Larger ones are taken out of the whole
# map of two frames, one large product: at 30x52 tokens and 1536 channels it has 2.4 M values, and the keys of 21x21
# windows laid out side by side 1 G.
WHOLE_MAP = 4


def soft_displacement(
    queries: Tensor, keys: Tensor, pairs: Tensor, centres: Tensor, window: tuple[int, int], grid: TokenGrid, *,
    temperature: float = 1.0, head_indices: tuple[int, ...] | None = None, per_head: bool = False,
    memory_limit: int = MEMORY_LIMIT,
) -> Tensor:  # fmt: skip
    """Where each token of frame i is found again in frame j, as an expectation over its window.

    displacement[p, s] = sum_k softmax_k(score[p, s, k]) * pos(k) - pos(s)

    Args:
        queries, keys: (B, F*S, heads, D), after q/k-norm.
        pairs: (P, 2) int64.
        centres: (P, S, 2) int, absolute (row, col) of the window centres, from the reference, for every sample alike.
        window: (rows, cols) in tokens.
        temperature: > 0; higher is sharper.
        per_head: take the softmax on each head and average the displacements, instead of averaging the logits.
        memory_limit: bytes; more frame pairs than fit are computed in chunks, which backward computes again.
    Returns:
        displacement_tok (B, P, S, 2) float32 (float64 for float64 input), absolute (row, col) in tokens; +row down,
        +col right.
    Gradient: to queries and keys.
    Source: DiTFlow, arXiv 2412.07776 (whole frame, mean of logits); FastVMT, arXiv 2602.05551 (windows). Differs from
        the latter's release: coordinates are absolute, so a translation does not cancel.
    """
    return _displacement(_expectation, queries, keys, pairs, centres, window, grid,
                         temperature, head_indices, per_head, memory_limit)  # fmt: skip


@torch.no_grad()
def hard_displacement(
    queries: Tensor, keys: Tensor, pairs: Tensor, centres: Tensor, window: tuple[int, int], grid: TokenGrid, *,
    head_indices: tuple[int, ...] | None = None, per_head: bool = False, memory_limit: int = MEMORY_LIMIT,
) -> Tensor:  # fmt: skip
    """As `soft_displacement`, with the best match of the window in place of the expectation; no gradient.

    Source: the reference side of DiTFlow, arXiv 2412.07776.
    """
    return _displacement(_best, queries, keys, pairs, centres, window, grid, 1.0, head_indices, per_head, memory_limit)


def _expectation(scores_K: Tensor, offsets_K2: Tensor) -> Tensor:
    return scores_K.softmax(-1) @ offsets_K2


def _best(scores_K: Tensor, offsets_K2: Tensor) -> Tensor:
    return one_hot(scores_K.argmax(-1), scores_K.shape[-1]).to(offsets_K2) @ offsets_K2


def _scores_of_map(queries, keys, pairs, index_PSK, grid, temperature, head_indices, per_head) -> Tensor:
    scores_BPNSS = pair_scores(queries, keys, pairs, grid, temperature, head_indices, per_head)
    return scores_BPNSS.gather(-1, index_PSK[None, :, None].expand(*scores_BPNSS.shape[:3], -1, -1))


def _scores_of_windows(queries, keys, pairs, index_PSK, grid, temperature, head_indices, per_head) -> Tensor:
    pairs = pairs.to(queries.device)
    q_BPSND = merged_heads(grid.split_frames(queries).index_select(1, pairs[:, 0]), head_indices, per_head)
    k_BFSND = merged_heads(grid.split_frames(keys), head_indices, per_head)
    q_BPSND = q_BPSND.to(score_dtype(queries)) * (temperature * score_scale(queries, head_indices, per_head))
    return window_scores(q_BPSND, k_BFSND, index_PSK + pairs[:, 1, None, None] * grid.per_frame)


def _displacement(
    reduce: Callable, queries: Tensor, keys: Tensor, pairs: Tensor, centres: Tensor, window: tuple[int, int],
    grid: TokenGrid, temperature: float, head_indices, per_head: bool, memory_limit: int,
) -> Tensor:  # fmt: skip
    def of_chunk(queries, keys, pairs, centres_PS2):
        rule = (head_indices, per_head)
        if window == (grid.height, grid.width):
            scores_BPNSK = pair_scores(queries, keys, pairs, grid, temperature, *rule)
        else:
            index_PSK = window_tokens(centres_PS2, window, grid)
            found = _scores_of_map if whole_map else _scores_of_windows
            scores_BPNSK = found(queries, keys, pairs, index_PSK, grid, temperature, *rule)
        # Offsets from the centre, and the centre added back: the same number as absolute coordinates, better rounded.
        moved_BPS2 = reduce(scores_BPNSK, window_offsets(window, scores_BPNSK.device).to(scores_BPNSK)).mean(2)
        return moved_BPS2 + (centres_PS2 - grid.positions(centres_PS2.device, moved_BPS2.dtype))

    centres = centres.to(queries.device)
    num_maps, places = queries.shape[2] if per_head else 1, window[0] * window[1]
    whole_map = WHOLE_MAP * places >= grid.per_frame
    chunk = pairs_per_chunk(queries, grid, num_maps, places, memory_limit, whole_map)
    if len(pairs) <= chunk:
        return of_chunk(queries, keys, pairs, centres)
    parts = [
        checkpoint(of_chunk, queries, keys, *part, use_reentrant=False, preserve_rng_state=False)
        for part in zip(pairs.split(chunk), centres.split(chunk), strict=True)
    ]
    return torch.cat(parts, dim=1)
