"""What tuning minimises: flow matching, and the direction in which the prediction changes from frame to frame.

Source: Follow-Your-Motion, section 3.3, arXiv:2506.05207; noise levels are those of its public code. Differs: every
level counts alike. The code's weights are a bell that is 0 at pure noise and small near it, where a video's motion is
decided: with them tuning learns a clip's detail and hardly its motion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import check_choice
from ..flow_matching import shift_sigma

SHIFT = 5.0
LEVELS = 1000
DIRECTIONS = ("signed", "as_released", "none")
WEIGHTS = ("flat", "as_released")


def sigma_levels(end: float = 0.0) -> Tensor:
    """(n,) float32 noise levels that are drawn from, falling from 1: those of 1000 that are not below `end`."""
    levels = shift_sigma(torch.linspace(1, 1 / LEVELS, LEVELS, dtype=torch.float64), SHIFT).float()
    return levels[levels >= end]


def level_weights(sigmas: Tensor, form: str = "flat") -> Tensor:
    """Weight of each of the levels, 1 in the mean.

    Args:
        form: "flat": 1; "as_released": a bell about the middle of the noise range, 0 where it is lowest.
    """
    check_choice("level weights", form, WEIGHTS)
    if form == "flat":
        return torch.ones_like(sigmas)
    bell = torch.exp(-2 * (sigmas - 0.5) ** 2)
    bell = bell - bell.min()
    return bell / bell.mean()


def direction_loss(predicted: Tensor, target: Tensor, form: str = "signed") -> Tensor:
    """How far the change from frame to frame points another way, one number: 0 the same way, 2 the opposite.

    1 - mean cos(d, d*), d_i = v_i - v_(i-1), the cosine taken over channels at each place of each frame. A clip of one
    frame has none: 0.

    Args:
        predicted, target: velocities (B,C,F,h,w). form: "signed"; "as_released": of absolute differences, the cosine
            taken over time, which cannot tell a direction from its opposite; "none": 0.
    """
    check_choice("motion loss", form, DIRECTIONS)
    if form == "none" or predicted.shape[2] < 2:
        return predicted.new_zeros(())
    change, wanted = predicted.float().diff(dim=2), target.float().diff(dim=2)
    if form == "as_released":
        return 1 - torch.cosine_similarity(change.abs(), wanted.abs(), dim=2).mean()
    return 1 - torch.cosine_similarity(change, wanted, dim=1).mean()
