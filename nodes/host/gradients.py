"""A gradient through a model whose weights ComfyUI loaded in inference mode, without copying or touching the model.

ComfyUI runs every node in inference mode. Tensors made there, weights included, can never be saved for a backward
pass. An alias, another tensor object on the same memory, can: it is put in the place of each such argument, for those
operators that save their arguments, and only while a scope is open.
"""

import contextlib

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .versions import training_flag

SAVING = {
    functional.linear, torch.conv2d, torch.conv3d, functional.layer_norm, functional.rms_norm,
    functional.group_norm, functional.embedding, torch.mul, torch.multiply, torch.addcmul, torch.matmul, torch.bmm,
    Tensor.mul, Tensor.__mul__, Tensor.__rmul__, Tensor.matmul, Tensor.__matmul__,
}  # fmt: skip
LAYERS = {  # whose arguments behind the first are weights
    functional.linear, torch.conv2d, torch.conv3d, functional.layer_norm, functional.rms_norm, functional.group_norm,
    functional.embedding,
}  # fmt: skip
CASTING = {Tensor.to, Tensor.copy_}  # how the host brings a weight into the dtype and to the device that it is used in


def alias(tensor: Tensor) -> Tensor:
    """A tensor on the same memory that is not an inference tensor; to be made outside inference mode."""
    fresh = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return fresh.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())


class FrozenWeights(TorchFunctionMode):
    """Inside, arguments that are inference tensors may be saved for the backward pass.

    Weights are aliased, since their memory stays; anything else (prompts, masks, a weight staged for one use) is
    cloned, since its memory may be used again before the backward pass. With `copy_staged`, weights of layers that are
    neither parameters nor part of the graph are cloned as well. Quantised weights are used in the dtype that they stand
    for.

    On 0.3.75 weights want a gradient, which the host never asks for. A copy made of one would carry that on, and all
    that meets it would be kept for a backward pass to the weight.
    """

    def __init__(self, copy_staged: bool = False):
        super().__init__()
        self.copy_staged = copy_staged

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in SAVING:
            args = tuple(self._savable(value, i, func) for i, value in enumerate(args))
            kwargs = {name: self._savable(value, 1, func) for name, value in kwargs.items()}
        elif func in CASTING:
            args = tuple(alias(value) if _is_weight(value) and value.requires_grad else value for value in args)
        return func(*args, **kwargs)

    def _savable(self, value, position: int, func):
        if not isinstance(value, Tensor):
            return value
        if hasattr(value, "_qdata"):  # quantised: in that form it cannot be saved
            return value.dequantize() if torch.is_grad_enabled() else value
        if value.is_inference():
            return alias(value) if _is_weight(value) else value.clone()
        is_weight = position > 0 and func in LAYERS
        if self.copy_staged and is_weight and not isinstance(value, torch.nn.Parameter) and value.grad_fn is None:
            return value.clone()
        return value


def _is_weight(value) -> bool:
    """Whether it is a weight that the host loaded."""
    return isinstance(value, torch.nn.Parameter) and value.is_inference()


@contextlib.contextmanager
def grad_scope(copy_staged: bool = False):
    """Inside, a forward pass through the model can be differentiated with respect to its input.

    Inputs that need a gradient, and anything multiplied with them, are to be made inside. Nests; usable on the thread
    on which autograd computes a checkpointed block again.
    """
    with training_flag(), torch.inference_mode(False), torch.enable_grad(), FrozenWeights(copy_staged):
        yield
