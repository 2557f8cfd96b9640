"""The size of a gradient."""

import torch
from torch import Tensor


def rms(gradient: Tensor) -> Tensor:
    """Root mean square per sample, (B, 1, ..., 1); scaled first, since squares of small float32 gradients vanish."""
    axes = tuple(range(1, gradient.ndim))
    largest = gradient.abs().amax(axes, keepdim=True)
    scale = largest.clamp(min=torch.finfo(torch.float32).tiny)
    return (gradient / scale).square().mean(axes, keepdim=True).sqrt() * largest
