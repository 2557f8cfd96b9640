"""Keeping small gradients above the smallest number of float16.

The loss is a mean over all tokens, so the gradient of one query value of a long video is around 1e-8 or less, and a
model that runs in float16 would turn it into zero. It is enlarged where it enters the model and reduced again where it
leaves, by a power of two, which changes nothing else.
"""

import torch
from torch import Tensor

LARGEST = 1.0  # of the gradients that enter the model; float16 ends at 65504, its smallest step is 6e-8


class GradientScale:
    """For one forward and backward pass: `reduce` what enters the model, `enlarge` what the loss reads."""

    def __init__(self):
        self.factor = 1.0

    def reduce(self, x: Tensor) -> Tensor:
        """x itself; in the backward pass its gradient, made in the model, is put back to its true size."""
        return _Reduce.apply(self, x)

    def enlarge(self, tensors: list[Tensor]) -> list[Tensor]:
        """The tensors, at least float32; their gradients enter the model with a largest value of about 1."""
        return list(_Enlarge.apply(self, *(t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors)))


class _Reduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scale, x):
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return None, gradient / ctx.scale.factor


class _Enlarge(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scale, *tensors):
        ctx.scale = scale
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx, *gradients):
        largest = max(gradient.abs().max().item() for gradient in gradients)
        if LARGEST > 0 and 0 < largest < float("inf"):
            exponent = torch.tensor(LARGEST / largest, dtype=torch.float64).log2().floor()
            ctx.scale.factor = 2.0 ** max(-100, min(100, int(exponent)))
        return None, *(gradient * ctx.scale.factor for gradient in gradients)
