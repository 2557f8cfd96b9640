"""A tuned branch as an ordinary LoRA file, which every LoRA loader of Wan models reads."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import InputError
from ..whole_file import whole_file
from .branches import PARTS, BranchLora

PREFIX = "diffusion_model."
DOWN = ".lora_down.weight"
ENDS = (DOWN, ".lora_up.weight", ".alpha")


def state_dict(branch: BranchLora, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """The branch with zeros where other heads are, under the names of ComfyUI's LoRA loaders, on the CPU."""
    tensors = {}
    for key, part in branch.parts.items():
        block, name = key.split("_")
        down, up = part.folded()
        held = down.to("cpu", dtype).contiguous(), up.to("cpu", dtype).contiguous(), torch.tensor(float(branch.rank))
        tensors |= {_base(block, name) + end: tensor for end, tensor in zip(ENDS, held, strict=True)}
    return tensors


def read_branch(tensors: dict[str, Tensor]) -> BranchLora:
    """The branch of a `state_dict`, float32; as of one head that has all channels, for zeros stand where others are."""
    blocks = _blocks(tensors)
    has = torch.zeros(max(blocks) + 1, 1, dtype=torch.bool)
    has[list(blocks)] = True
    rank, channels = next(tensor for key, tensor in tensors.items() if key.endswith(DOWN)).shape
    branch = BranchLora(has, channels, rank)
    with torch.no_grad():
        for key, part in branch.parts.items():
            block, name = key.split("_")
            down, up, alpha = (tensors[_base(block, name) + end] for end in ENDS)
            part.down.copy_(down)
            part.up.copy_(up * (alpha / rank))
    return branch


def holds_branch(tensors: dict[str, Tensor]) -> bool:
    """Whether they are named as `state_dict` names them, all parts of every block that they name."""
    named = {_base(block, part) + end for block in _blocks(tensors) for part in PARTS for end in ENDS}
    return bool(named) and named == tensors.keys()


def _blocks(tensors: dict[str, Tensor]) -> set[int]:
    """Numbers of the blocks that a file names."""
    places = (key.removeprefix(f"{PREFIX}blocks.").split(".")[0] for key in tensors)
    return {int(place) for place in places if place.isdecimal()}


def _base(block: int | str, part: str) -> str:
    return f"{PREFIX}blocks.{block}.self_attn.{part}"


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
            file.write_bytes(save(tensors, about))  # save_file raises no OSError for a full disk
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be written ({error.strerror or error}); a folder with room that may be written to is "
            "needed. Free some space, or change the file name's folder; what was learned is kept for the next run."
        ) from error


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
