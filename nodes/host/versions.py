"""Where ComfyUI 0.3.75 and 0.33 differ, in one place.

0.33 and later: rotary embeddings are a fused operator without gradient unless `model_management.in_training` is set;
weights of a "dynamic" patcher live in buffers that are used again; memory that ran out is told by errors of more than
one class. 0.3.75 has none of them. On both, weights that are offloaded asynchronously do not outlast their use: 0.33
writes into the same buffers again, 0.3.75 leaves them to another stream, which may be ahead of the backward pass.
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


def free_memory(patcher) -> int:
    """Bytes that are free on the device of a patcher's model, with what DynamicVRAM gives back when asked."""
    of_patcher = getattr(patcher, "get_free_memory", comfy.model_management.get_free_memory)
    return of_patcher(patcher.load_device)


def weights_are_staged(patcher) -> bool:
    """Whether weights may be overwritten while autograd still holds them (DynamicVRAM, asynchronous offloading)."""
    return bool(is_dynamic(patcher) or comfy.model_management.NUM_STREAMS > 0)


def is_oom(error: Exception) -> bool:
    """Whether an error says that memory ran out, as far as the host can tell."""
    known = getattr(comfy.model_management, "is_oom", None)
    return known(error) if known else isinstance(error, torch.cuda.OutOfMemoryError)
