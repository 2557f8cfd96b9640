"""Which attention heads look within a frame and which across time.

A head is temporal if more of its attention falls on nearly the same place of any frames than on the neighbourhood in
token order, which is mostly the same frame. Both are bands of the same width, the second in the order of the tokens,
the first in the order that runs through time before it runs through space.
Source: Follow-Your-Motion, section 3.2, arXiv:2506.05207, with the threshold of its public code. Differs: attention of
random query rows instead of whole maps, which are 26 GB a block at 480x832; no block is left without a head of each
kind.
Legend: F frames, S tokens of a frame, L = F*S tokens, N heads, D channels of a head, R query rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError, StateError, UnsupportedModelError
from ..token_grid import TokenGrid

THRESHOLD = 1.3
ROLES_SIGMA = 0.9  # noise level at which heads are told apart
ROWS = 512
SCORES = 2**25  # attention scores computed at once: 128 MB


@dataclass(frozen=True)
class HeadRoles:
    """temporal: (blocks, N) bool. ratio: (blocks, N) float32, attention across time over attention within the frame.
    error: (blocks, N), standard error of the ratio from the rows that were drawn."""

    temporal: Tensor
    ratio: Tensor
    error: Tensor

    def __str__(self) -> str:
        blocks, heads = self.temporal.shape
        return f"{int(self.temporal.sum())} of {blocks * heads} heads temporal"


def band_shares(q_LND: Tensor, k_LND: Tensor, grid: TokenGrid, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of some queries that falls within the two bands.

    Args:
        q_LND, k_LND: as attention gets them, normed and with their positions. rows: (R,) int64 numbers of tokens.
    Returns:
        spatial, temporal: (R,N) float32, 0..1.
    """
    L, N, D = q_LND.shape
    # The order that runs through time first is that of `place`.
    tokens = torch.arange(L, device=q_LND.device)
    place = tokens % grid.per_frame * grid.frames + tokens // grid.per_frame
    keys_NDL = k_LND.float().permute(1, 2, 0)
    spatial, temporal = [], []
    for some in rows.split(max(1, SCORES // (N * L))):
        scores_NRL = q_LND[some].float().transpose(0, 1) @ keys_NDL * D**-0.5
        weight_NRL = scores_NRL.softmax(-1)
        for shares, order in ((spatial, tokens), (temporal, place)):
            near_RL = (order[some][:, None] - order).abs() < grid.per_frame
            shares.append((weight_NRL * near_RL).sum(-1).T)
    return torch.cat(spatial), torch.cat(temporal)


def head_ratio(q_LND: Tensor, k_LND: Tensor, grid: TokenGrid, rows: int = ROWS, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Attention across time over attention within the frame, of each head of one block, and its standard error.

    Args:
        q_LND, k_LND: as in `band_shares`. rows: queries that are drawn, without repetition; all of a shorter clip.
    Returns:
        ratio, error: (N,) float32 on the CPU.
    Raises:
        InputError: one frame only, in which there is no time to look across.
        StateError: NaN.
    """
    if grid.frames < 2:
        raise InputError(
            f"The reference has {grid.frames} latent frame; telling heads apart needs at least 2, that is 5 video "
            "frames (4n+1). Use a longer clip."
        )
    drawn = torch.randperm(grid.num_tokens, generator=torch.Generator().manual_seed(seed))[:rows]
    spatial, temporal = band_shares(q_LND, k_LND, grid, drawn.to(q_LND.device))
    ratio = temporal.mean(0) / spatial.mean(0).clamp(min=1e-8)
    spread = (temporal - ratio * spatial).std(0) if len(drawn) > 1 else torch.zeros_like(ratio)
    error = spread / len(drawn) ** 0.5 / spatial.mean(0).clamp(min=1e-8)
    if not torch.isfinite(ratio).all():
        raise StateError("The attention of the clip is NaN; its heads cannot be told apart. Run the model in fp32.")
    return ratio.cpu(), error.cpu()


def assign_roles(ratio: Tensor, error: Tensor, threshold: float = THRESHOLD) -> HeadRoles:
    """Roles by ratio (blocks, N): temporal from `threshold` on; in every block at least one head of each kind.

    Raises:
        UnsupportedModelError: blocks of a single head, which cannot be shared out.
    """
    if ratio.shape[1] < 2:
        raise UnsupportedModelError(
            f"The model's blocks have {ratio.shape[1]} attention head; two are needed, one for space and one for time. "
            "Use a larger Wan model."
        )
    temporal = ratio >= threshold
    order = ratio.argsort(1)
    temporal.scatter_(1, order[:, -1:], True)
    temporal.scatter_(1, order[:, :1], False)
    return HeadRoles(temporal, ratio, error)
