"""A tuned branch as an ordinary LoRA file, which every LoRA loader of Wan models reads."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import InputError
from ..whole_file import whole_file
from .branches import BranchLora

PREFIX = "diffusion_model."
LEARNED_ABOVE = "setting_sigma_end"  # among what a file says of itself


def state_dict(branch: BranchLora, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """The branch with zeros where other heads are, under the names of ComfyUI's LoRA loaders, on the CPU."""
    tensors = {}
    for key, part in branch.parts.items():
        block, name = key.split("_")
        down, up = part.folded()
        base = f"{PREFIX}blocks.{block}.self_attn.{name}"
        tensors[f"{base}.lora_down.weight"] = down.to("cpu", dtype).contiguous()
        tensors[f"{base}.lora_up.weight"] = up.to("cpu", dtype).contiguous()
        tensors[f"{base}.alpha"] = torch.tensor(float(branch.rank))
    return tensors


def read_branch(tensors: dict[str, Tensor]) -> BranchLora:
    """The branch of a `state_dict`, float32; as of one head that has all channels, for zeros stand where others are."""
    downs = {key.removesuffix(".lora_down.weight"): t for key, t in tensors.items() if key.endswith("down.weight")}
    blocks = [int(base.removeprefix(f"{PREFIX}blocks.").split(".")[0]) for base in downs]
    has = torch.zeros(max(blocks) + 1, 1, dtype=torch.bool)
    has[blocks] = True
    rank, channels = next(iter(downs.values())).shape
    branch = BranchLora(has, channels, rank)
    with torch.no_grad():
        for key, part in branch.parts.items():
            block, name = key.split("_")
            base = f"{PREFIX}blocks.{block}.self_attn.{name}"
            part.down.copy_(tensors[f"{base}.lora_down.weight"])
            part.up.copy_(tensors[f"{base}.lora_up.weight"] * (tensors[f"{base}.alpha"] / rank))
    return branch


def write(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """Whole or not at all.

    Args:
        about: what the file says of itself: base model and its fingerprint, rank, heads, its stage's steps, the hash of
            the reference's frames, who made it and in which version.
    Raises:
        InputError: the folder cannot be written to, or is full.
    """
    try:
        with whole_file(path) as file:
            save_file(tensors, file, about)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be written ({error.strerror or error}); a folder with room that may be written to is "
            "needed. Free some space, or change the file name's folder; what was learned is kept for the next run."
        ) from error


def learned_above(about: dict[str, str]) -> float:
    """The lowest noise level that a motion LoRA learned at, by what its file says; 0 if it does not."""
    try:
        return min(1.0, max(0.0, float(about.get(LEARNED_ABOVE, 0))))
    except ValueError:
        return 0.0


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors of a LoRA file, and what it says of itself; nothing for files of other programs.

    Raises:
        InputError: it is no safetensors file, or a part of one.
    """
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{Path(path).name} cannot be read ({error}); a whole safetensors file is needed. Tune it again, or copy "
            "it anew."
        ) from error
