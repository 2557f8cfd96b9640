"""A motion LoRA in a model at the noise levels where it is used, and not below them, where it would bring the look.

A patched weight stays for a whole run. So the updates are added to what the projections give, as while they were
learned; by patched methods and not by hooks that come and go, for a block that is computed again for a gradient is
run after the pass that it belongs to.
"""

from functools import partial

import comfy.sd
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...vmt.lora.files import read_branch
from ...vmt.lora.use import Use

KEY = "vmt_noisy_lora"


def with_motion_lora(patcher, tensors: dict[str, Tensor], strength: float, use: Use):
    """A clone with that LoRA where it is used; by the host's loader, if that is everywhere.

    Args:
        tensors: as in a file.
    """
    if use != Use():
        return with_noisy_lora(patcher, tensors, strength, use)
    return comfy.sd.load_lora_for_models(patcher, None, tensors, strength, 0)[0]


def with_noisy_lora(patcher, tensors: dict[str, Tensor], strength: float, use: Use):
    """A clone of the patcher with the LoRA of a file of ours where it is used. No weight is copied.

    Several in a row add up.
    """
    patched = patcher.clone()
    with torch.inference_mode(False):
        branch = read_branch(tensors).requires_grad_(False)

    def gate(executor, x, t, *args, **kwargs):
        on = float(t.max()) >= use.sigma_end - 1e-6
        branch.strength = _strength(x, strength, use, args, kwargs) if on else 0.0
        branch.to(x.device)
        return executor(x, t, *args, **kwargs)

    patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, gate)
    for key in branch.parts:
        block, part = key.split("_")
        name = f"diffusion_model.blocks.{block}.self_attn.{part}.forward"
        add = partial(_added, patched.get_model_object(name), branch, int(block), part)
        patched.add_object_patch(name, add)
    patched.set_attachments(KEY, (*told(patcher), (tensors, strength, use)))
    return patched


def told(patcher) -> tuple:
    """What was put into a patcher: (tensors, strength, use) of each."""
    return patcher.attachments.get(KEY, ())


def _strength(x: Tensor, strength: float, use: Use, args: tuple, kwargs: dict) -> float | Tensor:
    """Of each of a batch x, as the host says which prompt it is under: 0 the positive one, 1 the negative."""
    options = kwargs.get("transformer_options") or (args[3] if len(args) > 3 else None) or {}
    prompts = options.get("cond_or_uncond") or [0]
    shares = [use.negative if prompt == 1 else use.positive for prompt in prompts]
    if len(set(shares)) == 1:
        return strength * shares[0]
    each = torch.tensor(shares, device=x.device) * strength
    return each.repeat_interleave(len(x) // len(prompts)).reshape(-1, 1, 1)


def _added(forward, branch, block: int, part: str, x: Tensor) -> Tensor:
    return branch.add_to(forward(x), x, block, part)
