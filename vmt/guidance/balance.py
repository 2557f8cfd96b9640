"""Two losses at once, weighed by their gradients."""

import torch
from torch import Tensor

from .rms import rms


def balanced(first: Tensor, second: Tensor, tensors: list[Tensor], share: float) -> Tensor:
    """first + share * ratio * second, where the ratio makes their gradients at `tensors` equally long, per sample.

    Losses of different kinds have no common scale; their gradients at the place where both begin have. What lies
    before that place, the model, is passed through once for both.

    Args:
        first, second: (B,), of which sample b depends on the b-th part of each tensor alone.
        tensors: what both losses are computed from, (M*B, ...) each, or (B, ...).
        share: of the second; 0.2 gives it a fifth of the first one's say.
    Returns:
        (B,). Gradient: of both; the ratio counts as a number. Where a gradient of the second is 0 it adds nothing.
    """
    lengths = []
    for loss in (first, second):
        gradients = torch.autograd.grad(loss.sum(), tensors, retain_graph=True, allow_unused=True)
        lengths.append(_lengths([g for g in gradients if g is not None], len(first)))
    ratio = torch.where(lengths[1] > 0, lengths[0] / lengths[1], 0).to(first)
    return first + share * ratio * second


def _lengths(gradients: list[Tensor], samples: int) -> Tensor:
    """(B,) root of the sum of squares per sample, over all of them."""
    of_samples = [
        g.to(torch.promote_types(g.dtype, torch.float32)).unflatten(0, (-1, samples)).transpose(0, 1).flatten(1)
        for g in gradients
    ]
    lengths = torch.cat([rms(g) * g.shape[1] ** 0.5 for g in of_samples], 1)
    return rms(lengths)[:, 0] * lengths.shape[1] ** 0.5
