"""Proof that a set-up step was finished: a small JSON file that is written last, and whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path


def fingerprint(*parts: object) -> str:
    """A short hash of everything that decides what would be installed."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read(path: Path) -> dict | None:
    """The stamp, or None where there is none or it cannot be read: both mean that the step is not finished."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write(path: Path, content: dict) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)
