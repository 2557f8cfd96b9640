"""Where ComfyUI 0.3.75 and 0.33 differ, in one place.

0.33 and later: rotary embeddings are a fused operator without gradient unless `model_management.in_training` is set;
weights of a "dynamic" patcher, and offloaded ones, live in buffers that are used again. 0.3.75 has neither.
"""

import contextlib

import comfy.model_management

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


def weights_are_staged(patcher) -> bool:
    """Whether weights may be overwritten while autograd still holds them (DynamicVRAM, asynchronous offloading)."""
    is_dynamic = getattr(patcher, "is_dynamic", None)
    shares_buffers = hasattr(comfy.model_management, "STREAM_CAST_BUFFERS") and comfy.model_management.NUM_STREAMS > 0
    return bool((is_dynamic and is_dynamic()) or shares_buffers)
