"""What a model's heads do, kept as a small table: it belongs to the model, so it is measured once.

A model is known again by the size of a few of its weights, which neither its number format nor a LoRA on top changes
by much, while that of another training differs. Their spread would not do: norm weights lie close about one, where fp8
rounds most of it away. In fp8_e5m2 the size can move further than is allowed here; such a model is measured by itself.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..whole_file import whole_file
from .head_roles import HeadRoles, assign_roles

MARKING = ("modulation", "self_attn.norm_q.weight", "self_attn.norm_k.weight")  # of a block; hardly any LoRA has them
CLOSE = 0.01  # relative difference of two fingerprints of one model; fp8_e4m3fn makes up to .006


def marking_weights(weights: Mapping[str, Tensor], num_blocks: int) -> list[Tensor]:
    """The weights that a Wan model is known by, of three of its blocks, of those that it has by name."""
    some = (0, num_blocks // 2, num_blocks - 1)
    return [weights[f"blocks.{block}.{name}"] for block in some for name in MARKING]


def fingerprint(weights: Iterable[Tensor]) -> list[float]:
    """Root mean squares of the weights, in their order; float32 inside."""
    return [float(weight.detach().float().square().mean().sqrt()) for weight in weights]


def write_mark(mark: list[float]) -> str:
    """A fingerprint as text, for `read_mark`."""
    return " ".join(f"{value:.6g}" for value in mark)


def read_mark(text: str) -> list[float]:
    """A fingerprint of `write_mark`; empty, which is that of no model, if it is none."""
    try:
        return [float(value) for value in text.split()]
    except ValueError:
        return []


def same_model(a: list[float], b: list[float]) -> bool:
    """Whether two fingerprints are of one model, in whatever number formats."""
    return len(a) == len(b) and all(abs(x - y) <= CLOSE * max(abs(x), abs(y)) for x, y in zip(a, b, strict=True))


def save_roles(path: Path, roles: HeadRoles, mark: list[float], model: str) -> None:
    """model: its sizes in words, for whoever reads the table."""
    table = {
        "model": model,
        "fingerprint": [float(f"{value:.6g}") for value in mark],
        "ratio": [[round(value, 4) for value in row] for row in roles.ratio.tolist()],
        "error": [[round(value, 4) for value in row] for row in roles.error.tolist()],
    }
    with whole_file(path) as file:
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in table.items()]
        file.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")


def read_roles(path: Path) -> tuple[HeadRoles, list[float]]:
    """The roles and the fingerprint of their model.

    Raises:
        InputError: the file is no such table.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        ratio, error = (torch.tensor(table[name], dtype=torch.float32) for name in ("ratio", "error"))
        return assign_roles(ratio, error), [float(value) for value in table["fingerprint"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as problem:
        raise InputError(
            f"{path} cannot be read as a table of attention heads ({problem}); one that this pack has written is "
            "needed. Delete it: it is measured again."
        ) from problem


def find_roles(folders: Iterable[Path], mark: list[float], shape: tuple[int, int]) -> HeadRoles | None:
    """The kept roles of a model of that fingerprint and (blocks, heads); None if there are none.

    A table that cannot be read is told in the log and passed over: it may be that of another model.
    """
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            try:
                roles, held = read_roles(path)
            except InputError as error:
                logging.warning(f"[VMT] {error}")
                continue
            if tuple(roles.temporal.shape) == shape and same_model(held, mark):
                return roles
    return None
