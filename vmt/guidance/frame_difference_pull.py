"""Pull of a predicted clip's frame differences towards the reference's: no gradient and no further forward.

FlowMotion (arXiv 2603.06289) moves the latent so that the clip predicted from it, and its differences from frame to
frame, come closer to the reference. With the model's velocity held fixed that loss is quadratic, so its minimum is
known in closed form. Here the differences alone are pulled: what a clip shows on average over time stays as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError


def difference_filter(num_frames: int, softness: float) -> Tensor:
    """Matrix (F,F) float64 that keeps of a series over frames what its frame differences tell.

    It solves min_d |D (x + d) - D r|^2 + softness |d|^2 for d = filter (r - x), D the difference of neighbouring
    frames. At softness 0 all but the mean over time is kept; the larger it is, the more the slow changes are left out.

    Raises:
        InputError: fewer than two frames, or a negative softness.
    """
    if num_frames < 2 or softness < 0:
        raise InputError(
            f"{num_frames} latent frames and softness {softness} were given; 2 frames or more and a softness of 0 or "
            "more are allowed. Use a longer clip, or raise the softness."
        )
    differences = torch.diff(torch.eye(num_frames, dtype=torch.float64), dim=0)
    gram = differences.T @ differences
    return torch.linalg.pinv(gram + softness * torch.eye(num_frames, dtype=torch.float64), hermitian=True) @ gram


def pull_frame_differences(x0: Tensor, reference: Tensor, strength: float, softness: float = 0.02) -> Tensor:
    """The predicted clip with its frame differences pulled towards the reference's.

    Args:
        x0: (B,C,F,h,w), the clean clip predicted at this step. reference: (1,C,F,h,w), clean, in the same space.
        strength: share of the way, 0 (x0 itself) to 1 (the minimum). softness: see `difference_filter`.
    Returns:
        (B,C,F,h,w) of x0's dtype, with x0's mean over frames.
    Raises:
        InputError: the reference has another form.
    """
    if strength == 0:
        return x0
    if x0.shape[1:] != reference.shape[1:] or len(reference) != 1:
        raise InputError(
            f"The latent to sample has (channels, frames, height, width) {tuple(x0.shape[1:])}, the reference "
            f"{tuple(reference.shape[1:])}; they must be equal. Sample a video of the reference's size and length."
        )
    kept = strength * difference_filter(x0.shape[2], softness).to(x0.device, torch.float32)
    gap = reference.to(x0.device, torch.float32) - x0.float()
    return (x0 + torch.einsum("ts,bcshw->bcthw", kept, gap)).to(x0.dtype)
