"""Which latent frames are compared with which, and how much each comparison counts."""

import torch
from torch import Tensor

from ..errors import InputError


def frame_pairs(num_frames: int, span: int) -> Tensor:
    """All pairs (i, j) with 1 <= j - i <= span, sorted by i: (P, 2) int64.

    A frame is never paired with itself: that would measure the layout inside one frame, not motion.

    Raises:
        InputError: fewer than two frames, or span below 1.
    Source: FastVMT, arXiv 2602.05551. Differs: its release also pairs every frame with itself, with the largest weight.
    """
    if num_frames < 2:
        raise InputError(
            f"The reference has {num_frames} latent frame; motion needs at least 2, that is 5 video frames (4n+1). "
            "Load a longer clip or lower the frame stride."
        )
    if span < 1:
        raise InputError(f"span is {span}; frame distances of 1 or more are allowed. Raise span.")
    pairs = [(i, j) for i in range(num_frames) for j in range(i + 1, min(i + span, num_frames - 1) + 1)]
    return torch.tensor(pairs, dtype=torch.int64)


def distance_weights(pairs: Tensor, span: int) -> Tensor:
    """w = 1 - 0.2 (distance - 1) / (span - 1) per pair, 1 if span is 1: (P,) float32.

    Source: FastVMT, arXiv 2602.05551, as in its release, counted from distance 1.
    """
    distance = (pairs[:, 1] - pairs[:, 0]).float()
    return 1 - 0.2 * (distance - 1) / max(span - 1, 1)
