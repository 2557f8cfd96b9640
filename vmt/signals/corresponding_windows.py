"""Corresponding-window loss: what a generated video shows in the reference's windows should change little over time.

The windows that a tile of frame i has in frames i + 1, i + 2, ... follow the reference's motion, so in a video that
moves alike they hold the same content. Source: FastVMT, arXiv 2602.05551. Differs: the mean over a window is of key
vectors, not of channel means, and of keys before RoPE, which turns equal keys apart where they lie apart.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..errors import InputError
from .attention_flow import AttentionFlow
from .windows import window_size


def corresponding_window_loss(flow: AttentionFlow, keys: dict[int, Tensor]) -> Tensor:
    """Mean squared change of window-mean keys from one frame distance to the next, in units of their mean square.

    L = mean over i, s and d = 1..span-1 of |m(i, d+1, s) - m(i, d, s)|^2 / mean |m|^2, m(i, d, s) the mean key vector
    of the window that token s of frame i has in frame i + d; averaged over blocks. 0 for a clip that stands still and a
    reference that does too.

    Args:
        keys: block -> (B, F*S, heads, D) of the generated videos, before RoPE.
    Returns:
        (B,) float32 (float64 for float64 input).
    Gradient: to the keys, not through the mean square.
    Raises:
        InputError: a flow with frame distance 1 alone, or of fewer than three frames: there is nothing to compare.
    """
    distance = check_distances(flow)
    size, losses = window_size(flow.grid, flow.config.radius), []
    for block, reference in flow.blocks.items():
        means = _window_means(flow, keys[block], size)
        change, square = 0, 0
        for d in range(1, int(distance.max())):
            near, far = (distance == d).nonzero()[:, 0], (distance == d + 1).nonzero()[:, 0]
            near = near[: len(far)]  # pairs are sorted by i: the last frames have no further one
            m_near, m_far = (_at_centres(means, flow.pairs[p], reference.centres[p], size) for p in (near, far))
            change = change + (m_far - m_near).square().sum((1, 2, 3))
            square = square + (m_far.detach().square() + m_near.detach().square()).sum((1, 2, 3)) / 2
        losses.append(change / square.clamp(min=torch.finfo(square.dtype).tiny))
    return torch.stack(losses).mean(0)


def check_distances(flow: AttentionFlow) -> Tensor:
    """(P,) how far the frames of each pair are apart. Raises InputError if by 1 alone."""
    distance = flow.pairs[:, 1] - flow.pairs[:, 0]
    if int(distance.max()) < 2:
        raise InputError(
            f"The AMF compares frames at distance {int(distance.max())} only; corresponding windows need distances 1 "
            "and 2 at least. Raise span on Extract AMF, or load a longer clip."
        )
    return distance


def _window_means(flow: AttentionFlow, keys: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean of every full window of every frame: (B, F, h - rows + 1, w - cols + 1, C)."""
    grid = flow.grid
    keys_BFSC = grid.split_frames(keys).flatten(-2).to(torch.promote_types(keys.dtype, torch.float32))
    images = keys_BFSC.flatten(0, 1).transpose(1, 2).unflatten(2, (grid.height, grid.width))
    return avg_pool2d(images, size, stride=1).movedim(1, -1).unflatten(0, keys_BFSC.shape[:2])


def _at_centres(means: Tensor, pairs: Tensor, centres: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, P, S, C) of the windows around centres (P, S, 2) in the frames j of the pairs."""
    first = centres.long() - torch.tensor(size) // 2
    number = (pairs[:, 1, None] * means.shape[2] + first[..., 0]) * means.shape[3] + first[..., 1]
    return means.flatten(1, 3).index_select(1, number.flatten().to(means.device)).unflatten(1, number.shape)
