"""What results were made by, told shortly: none of another workflow or of other weights is to be taken for them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..demo.train import WEIGHTS
from ..launch.base_folder import BASE

DIGITS = 16
ENDS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")  # of files that hold models


def fingerprint(workflow: dict, weights: Path = WEIGHTS) -> str:
    """Of an API-form graph and the bytes of the shipped weights that it names: 16 hexadecimal digits.

    How nodes are titled makes no difference.
    """
    nodes = {node_id: [node["class_type"], node["inputs"]] for node_id, node in workflow.items()}
    told = hashlib.sha256(json.dumps(nodes, sort_keys=True).encode())
    for file in model_files(workflow, weights).values():
        told.update(file.read_bytes())
    return told.hexdigest()[:DIGITS]


def model_sizes(workflow: dict) -> dict[str, int]:
    """Name -> bytes of the models that an API-form graph names, as far as the bench's host has them in its own folder.

    Reading some gigabytes would take too long."""
    return {name: file.stat().st_size for name, file in model_files(workflow, BASE / "models").items()}


def model_files(workflow: dict, folder: Path) -> dict[str, Path]:
    """Name -> file, of the models that an API-form graph names and that lie in one of the folder's folders."""
    values = (value for node in workflow.values() for value in node["inputs"].values())
    names = sorted({value for value in values if isinstance(value, str) and value.endswith(ENDS)})
    kinds = sorted(kind for kind in folder.iterdir() if kind.is_dir()) if folder.is_dir() else []
    found = ((name, kind / name) for name in names for kind in kinds)
    return {name: file for name, file in found if file.is_file()}
