"""How well each token of frame i matches each token of frame j, and the best match over the whole frame.

Letters: B batch, P frame pairs, S tokens per frame, N heads, D channels per head, K tokens of a window.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError, StateError
from ..token_grid import TokenGrid
from .windows import window_centres, window_size, window_tokens

MEMORY_LIMIT = 512 * 2**20  # bytes that one chunk of frame pairs may take


def pair_scores(
    queries: Tensor, keys: Tensor, pairs: Tensor, grid: TokenGrid, temperature: float,
    head_indices: tuple[int, ...] | None = None, per_head: bool = False,
) -> Tensor:  # fmt: skip
    """Match scores of frame pairs, before any softmax.

    score[p, s, t] = temperature * mean over heads of <q[i_p, s], k[j_p, t]> / sqrt(D)

    The mean over heads is taken on the logits, which equals one product of the concatenated head vectors.

    Args:
        queries, keys: (B, F*S, N, D), any float type; the products are taken in float32 (float64 stays float64).
        pairs: (P, 2) int64.
        head_indices: heads to use; None = all.
        per_head: keep the heads apart instead of averaging.
    Returns:
        (B, P, 1, S, S), or (B, P, N, S, S) if per_head.
    """
    dtype = score_dtype(queries)
    pairs = pairs.to(queries.device)
    q_BPSND, k_BPSND = (
        merged_heads(grid.split_frames(held).index_select(1, frames), head_indices, per_head).to(dtype)
        for held, frames in ((queries, pairs[:, 0]), (keys, pairs[:, 1]))
    )
    scale = temperature * score_scale(queries, head_indices, per_head)
    return (q_BPSND.transpose(2, 3) * scale) @ k_BPSND.permute(0, 1, 3, 4, 2)


def merged_heads(x_BPSND: Tensor, head_indices: tuple[int, ...] | None, per_head: bool) -> Tensor:
    """q or k whose products are scores: the chosen heads, apart (per_head) or as one long vector."""
    if head_indices is not None:
        x_BPSND = _pick_heads(x_BPSND, head_indices)
    return x_BPSND if per_head else x_BPSND.flatten(-2).unsqueeze(-2)


def score_dtype(x: Tensor) -> torch.dtype:
    """What products of q and k are taken in: float32, or float64 if they are."""
    return torch.promote_types(x.dtype, torch.float32)


def score_scale(x: Tensor, head_indices: tuple[int, ...] | None, per_head: bool) -> float:
    """1 / sqrt(D), over the number of heads that are averaged, for q or k (..., N, D)."""
    num_heads = 1 if per_head else x.shape[-2] if head_indices is None else len(head_indices)
    return 1 / (num_heads * math.sqrt(x.shape[-1]))


def _pick_heads(x_BPSND: Tensor, head_indices: tuple[int, ...]) -> Tensor:
    num_heads = x_BPSND.shape[-2]
    if not head_indices or min(head_indices) < 0 or max(head_indices) >= num_heads:
        raise InputError(
            f"Heads {head_indices} were asked for; this model has heads 0 to {num_heads - 1}. Choose among them, or "
            "leave the heads empty to use all."
        )
    return x_BPSND[..., list(head_indices), :]


def pairs_per_chunk(
    queries: Tensor, grid: TokenGrid, num_maps: int, window: int, memory_limit: int, whole_map: bool = True
) -> int:
    """How many frame pairs fit in `memory_limit` bytes, forward and backward of one chunk together; at least one."""
    batch, _, num_heads, dim = queries.shape
    tokens = grid.per_frame
    # scores of the whole map and their gradient; of the window: index, scores, softmax
    maps = num_maps * tokens * (2 * tokens * whole_map + 5 * window)
    vectors = 4 if whole_map else 6  # q and k of the pair and their gradients; of a window also their product
    values = batch * (maps + vectors * tokens * num_heads * dim)
    return max(1, memory_limit // (values * score_dtype(queries).itemsize))


@dataclass(frozen=True)
class CoarseMatch:
    """Best match of each token over the whole of frame j, in the reference; what centres the windows."""

    pairs: Tensor  # (P, 2) int64
    temperature: float
    head_indices: tuple[int, ...] | None
    match: Tensor  # (P, S) int32, flat token index in frame j
    peak: Tensor  # (P, S) float32 0..1: probability, over the whole frame, of the match and its 8 neighbours
    consistency: Tensor  # (P, S) float32 0..1: exp(-e^2/2), e = tokens between s and the best match of its match
    gain: Tensor  # (P, S) float32 >= 0: score of the match over that of the token's own place, nats at temperature 1

    def fits(self, pairs: Tensor, temperature: float, head_indices: tuple[int, ...] | None) -> bool:
        """Whether it was measured with these settings."""
        same = self.temperature == temperature and self.head_indices == head_indices
        return same and torch.equal(self.pairs, pairs)


@torch.no_grad()
def coarse_match(
    queries: Tensor, keys: Tensor, pairs: Tensor, grid: TokenGrid, temperature: float = 1.0,
    head_indices: tuple[int, ...] | None = None, memory_limit: int = MEMORY_LIMIT,
) -> CoarseMatch:  # fmt: skip
    """Argmax of the score against all tokens of frame j, with three signs of whether it can be trusted.

    `peak` falls where the content has left the frame or looks like many others. `consistency` falls where the match is
    claimed more convincingly by another token: frame j is matched back with the columns of the same score map.
    `gain` is small where the match is hardly better than staying in place, as on a ground alike everywhere.

    Args:
        queries, keys: (1, F*S, N, D) of the reference.
    Raises:
        StateError: features hold NaN or infinity.
    Source: windows of FastVMT, arXiv 2602.05551; the signs of trust are ours.
    """
    if not (torch.isfinite(queries).all() and torch.isfinite(keys).all()):
        raise StateError(
            "The motion features hold NaN or infinite values; only finite ones can be matched. Check the reference "
            "latent (decode it), or run the model in fp32 or bf16 instead of fp16."
        )
    pos_S2 = grid.positions(queries.device)
    chunk = pairs_per_chunk(queries, grid, num_maps=1, window=9, memory_limit=memory_limit)
    found = []
    for some_pairs in pairs.split(chunk):
        scores_PSS = pair_scores(queries, keys, some_pairs, grid, temperature, head_indices)[0, :, 0]
        match_PS = scores_PSS.argmax(-1)
        back_PS = scores_PSS.argmax(-2).gather(-1, match_PS)
        miss_PS = (pos_S2[back_PS] - pos_S2).square().sum(-1)
        near_PSK = window_tokens(window_centres(match_PS, grid, radius=1), window_size(grid, 1), grid)
        peak_PS = (scores_PSS.gather(-1, near_PSK).logsumexp(-1) - scores_PSS.logsumexp(-1)).exp()
        gain_PS = (scores_PSS.amax(-1) - scores_PSS.diagonal(dim1=-2, dim2=-1)) / temperature
        signs = (peak_PS.clamp(max=1), (-miss_PS / 2).exp(), gain_PS)
        found.append((match_PS.int().cpu(), *(sign.float().cpu() for sign in signs)))
    match, peak, consistency, gain = (torch.cat(parts) for parts in zip(*found, strict=True))
    return CoarseMatch(pairs.cpu(), temperature, head_indices, match, peak, consistency, gain)
