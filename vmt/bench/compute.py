"""What a computation costs, whatever the machine: passes through the model's blocks, and floating-point operations."""

from __future__ import annotations

import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, sdpa_backward_flop_count, sdpa_flop_count

BLOCKS = ("WanAttentionBlock",)  # class names of a video model's blocks


def _attention(query, key, value, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient, query, key, value, *args, out_shape=None, **kwargs) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


def _convolution(x, weight, *args, out_shape=None, **kwargs) -> int:
    return conv_flop_count(list(x), list(weight), list(out_shape))


# The counter knows attention of GPUs alone, and convolutions that were asked for by their usual name.
_aten = torch.ops.aten
ON_CPU = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    _aten.mkldnn_convolution: _convolution,
}


class Compute:
    """Counts what runs on this thread while it is entered; it slows what it counts.

    forwards: passes of one video through the whole model. One that stops half-way counts as half, a positive and a
        negative prompt as two, and what checkpointing computes again counts again.
    backwards: the same of gradients.
    flops: operations of matrix products, convolutions and attention, of all that ran; a multiply-add is two.
    """

    def __enter__(self) -> Compute:
        self._runs = self._gradients = 0
        self._seen: set[int] = set()
        self._counter = FlopCounterMode(display=False, custom_mapping=ON_CPU)
        self._hook = register_module_forward_pre_hook(self._before)
        self._counter.__enter__()
        return self

    def __exit__(self, *exception) -> None:
        self._counter.__exit__(*exception)
        self._hook.remove()

    @property
    def flops(self) -> int:
        return self._counter.get_total_flops()

    @property
    def forwards(self) -> float:
        return self._runs / max(1, len(self._seen))

    @property
    def backwards(self) -> float:
        return self._gradients / max(1, len(self._seen))

    def told(self) -> dict[str, float]:
        return {"forwards": self.forwards, "backwards": self.backwards, "flops": self.flops}

    def _before(self, module: torch.nn.Module, arguments: tuple) -> None:
        if type(module).__name__ not in BLOCKS or not arguments:
            return
        x = arguments[0]
        self._seen.add(id(module))
        self._runs += len(x)
        if torch.is_grad_enabled() and x.requires_grad and id(module) not in getattr(x, "_counted_for", ()):
            # Once: a block that checkpointing computes again gets the same tensor, and the gradient passes once.
            x._counted_for = (*getattr(x, "_counted_for", ()), id(module))
            x.register_hook(self._gradient)

    def _gradient(self, gradient: torch.Tensor) -> None:
        self._gradients += len(gradient)
