"""A motion LoRA in a model at the noise levels where it is used, and not below them, where it would bring the look.

A patched weight stays for a whole run. So the updates are added to what the projections give, as while they were
learned; by patched methods and not by hooks that come and go, for a block that is computed again for a gradient is
run after the pass that it belongs to.
"""

from functools import partial

import comfy.sd
import torch
from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor, nn

from ...vmt.lora.files import read_branch
from ...vmt.lora.use import Use
from .flow_beside_lora import with_flow

KEY = "vmt_noisy_lora"


def with_motion_lora(patcher, tensors: dict[str, Tensor], strength: float, use: Use, flow_strength: float = 1.0):
    """A clone with that LoRA where it is used, by the host's loader, if that is everywhere; its flow beside it.

    Args:
        tensors: as in a file. flow_strength: times `strength`.
    """
    if use.sigma_end:
        patched = with_noisy_lora(patcher, tensors, strength, use.sigma_end)
    else:
        patched = comfy.sd.load_lora_for_models(patcher, None, tensors, strength, 0)[0]
    return with_flow(patched, use.flow, strength * flow_strength)


def with_noisy_lora(patcher, tensors: dict[str, Tensor], strength: float, sigma_end: float):
    """A clone of the patcher with the LoRA of a file of ours above that noise level. No weight is copied.

    Several in a row add up.
    """
    patched = patcher.clone()
    _put_into(patched, tensors, strength, sigma_end)
    if not told(patcher):
        patched.add_callback_with_key(CallbacksMP.ON_CLONE, KEY, _follow)
    patched.set_attachments(KEY, (*told(patcher), (tensors, strength, sigma_end)))
    return patched


def told(patcher) -> tuple:
    """What was put into a patcher: (tensors, strength, sigma_end) of each."""
    return patcher.attachments.get(KEY, ())


def _put_into(patched, tensors: dict[str, Tensor], strength: float, sigma_end: float) -> None:
    with torch.inference_mode(False):
        branch = read_branch(tensors).requires_grad_(False)

    def gate(executor, x, t, *args, **kwargs):
        branch.strength = strength if float(t.max()) >= sigma_end - 1e-6 else 0.0
        with torch.inference_mode(False):  # a gradient may go through it at a later step
            branch.to(x.device)
        return executor(x, t, *args, **kwargs)

    patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, gate)
    for key in branch.parts:
        block, part = key.split("_")
        name = f"diffusion_model.blocks.{block}.self_attn.{part}.forward"
        add = partial(_added, patched.get_model_object(name), branch, int(block), part)
        patched.add_object_patch(name, add)


def _follow(patcher, clone) -> None:
    """ON_CLONE: newer hosts make clones of another model object, whose layers are not those that were patched."""
    if clone.model is patcher.model:
        return
    for name, patch in list(clone.object_patches.items()):
        beneath = patch
        while isinstance(beneath, partial) and beneath.func is _added:
            beneath = beneath.args[0]
        if beneath is patch:
            continue
        if isinstance(getattr(beneath, "__self__", None), nn.Module):  # a layer's own
            del clone.object_patches[name]
        else:
            clone.object_patches[name] = beneath
    clone.remove_wrappers_with_key(WrappersMP.APPLY_MODEL, KEY)
    for lora in told(clone):
        _put_into(clone, *lora)


def _added(forward, branch, block: int, part: str, x: Tensor) -> Tensor:
    return branch.add_to(forward(x), x, block, part)
