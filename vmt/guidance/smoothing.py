"""Blurring a gradient over the frame before it moves a noisy latent.

A gradient taken through attention is rough from cell to cell. At high noise the model takes what is rough for noise and
removes it again; what is smooth it takes for what the clip shows. A blurred step therefore moves more for its size.
"""

from __future__ import annotations

import math

from kornia.filters import gaussian_blur2d
from torch import Tensor


def smooth(gradient: Tensor, width: float) -> Tensor:
    """The gradient blurred over rows and columns, each frame and channel by itself.

    Args:
        gradient: (..., h, w) float.
        width: standard deviation of the Gaussian, in latent cells; 0 = the gradient itself.
    Returns:
        (..., h, w), still 0 where the gradient is 0: what a mask keeps from moving does not move.
    """
    if width == 0:
        return gradient
    size = 2 * math.ceil(3 * width) + 1
    frames = gradient.reshape(1, -1, *gradient.shape[-2:])
    blurred = gaussian_blur2d(frames, (size, size), (width, width), border_type="replicate").view_as(gradient)
    return blurred * (gradient != 0)
