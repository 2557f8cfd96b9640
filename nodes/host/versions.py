"""Where ComfyUI 0.3.75 and 0.33 differ, in one place.

0.33 and later: rotary embeddings are a fused operator without gradient unless `model_management.in_training` is set;
weights of a "dynamic" patcher, and offloaded ones, live in buffers that are used again; memory that ran out is told by
errors of more than one class. 0.3.75 has none of them.
"""

import contextlib

import comfy.model_management
import torch

_ABSENT = object()


@contextlib.contextmanager
def training_flag():
    """The host takes its differentiable path inside; the flag, or its absence on 0.3.75, is put back."""
    management = comfy.model_management
    before = getattr(management, "in_training", _ABSENT)
    management.in_training = True
    try:
        yield
    finally:
        if before is _ABSENT:
            # Two scopes on two threads may end in any order; the later one finds nothing left to remove.
            management.__dict__.pop("in_training", None)
        else:
            management.in_training = before


def is_dynamic(patcher) -> bool:
    """Whether every weight is brought to the device when it is used (DynamicVRAM)."""
    asked = getattr(patcher, "is_dynamic", None)
    return bool(asked and asked())


def weights_are_staged(patcher) -> bool:
    """Whether weights may be overwritten while autograd still holds them (DynamicVRAM, asynchronous offloading)."""
    shares_buffers = hasattr(comfy.model_management, "STREAM_CAST_BUFFERS") and comfy.model_management.NUM_STREAMS > 0
    return bool(is_dynamic(patcher) or shares_buffers)


def is_oom(error: Exception) -> bool:
    """Whether an error says that memory ran out, as far as the host can tell."""
    known = getattr(comfy.model_management, "is_oom", None)
    return known(error) if known else isinstance(error, torch.cuda.OutOfMemoryError)
