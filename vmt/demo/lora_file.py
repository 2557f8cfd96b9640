"""What a training changed of a model, as a LoRA file that ComfyUI's stock LoRA loaders read."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import InputError
from ..lora.files import PREFIX
from ..whole_file import whole_file


def _whole_change(name: str) -> str:
    """What the stock loaders call a parameter's change that is no product of two matrices."""
    stem, _, kind = name.rpartition(".")
    return {"weight": f"{stem}.diff", "bias": f"{stem}.diff_b"}.get(kind, f"{name}.diff")


def low_rank(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The nearest product up (m,r) @ down (r,n) of that rank to a matrix (m,n), by singular values."""
    u, s, v = torch.linalg.svd(matrix.float(), full_matrices=False)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]


def save_lora(before: nn.Module, after: nn.Module, rank: int, path: Path, metadata: dict[str, str]) -> None:
    """Write `after` minus `before` in float16: matrices at that rank, every other parameter whole."""
    tensors = {}
    for name, parameter in after.named_parameters():
        change = (parameter - before.get_parameter(name)).detach().cpu()
        stem, _, kind = name.rpartition(".")
        if kind == "weight" and change.ndim == 2 and min(change.shape) > rank:
            up, down = low_rank(change, rank)
            tensors |= {f"{PREFIX}{stem}.lora_up.weight": up, f"{PREFIX}{stem}.lora_down.weight": down}
        else:
            tensors[PREFIX + _whole_change(name)] = change
    with whole_file(path) as file:
        save_file({name: tensor.half().contiguous() for name, tensor in tensors.items()}, file, metadata)


@torch.no_grad()
def add_lora(module: nn.Module, path: Path, strength: float = 1.0) -> nn.Module:
    """Add a file of `save_lora` to the module's parameters, in place, and return the module.

    Raises:
        InputError: there is no such file, or it holds other keys than `save_lora` writes.
    """
    if not path.is_file():
        raise InputError(f"There is no LoRA at {path}. Make it with `python3 -m vmt train demo --few-steps 330`.")
    tensors = {name.removeprefix(PREFIX): tensor.float() for name, tensor in load_file(path).items()}
    for name, parameter in module.named_parameters():
        stem, _, kind = name.rpartition(".")
        if f"{stem}.lora_up.weight" in tensors and kind == "weight":
            change = tensors.pop(f"{stem}.lora_up.weight") @ tensors.pop(f"{stem}.lora_down.weight")
        else:
            change = tensors.pop(_whole_change(name), None)
        if change is not None:
            parameter += strength * change.to(parameter)
    if tensors:
        raise InputError(f"{path} changes what the model does not have: {', '.join(sorted(tensors)[:3])}.")
    return module
