"""Files that are there whole or not at all: written beside themselves, then renamed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LITTER_AGE = 3600.0  # seconds; a younger one may be in the writing by another process
_UMASK = os.umask(0)  # it can only be read by setting it
os.umask(_UMASK)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The path to write to; takes the place of `path` when the block ends without an exception. Makes the folder.

    The file may be read by whom any new file may; safetensors' own files may by nobody else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        yield partial
        partial.chmod(0o666 & ~_UMASK)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_json(path: Path, content: object, indent: int | None = 1) -> None:
    """The content as a JSON file, whole or not at all. Makes the folder."""
    with whole_file(path) as file:
        file.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")


def drop_partials(folder: Path, names: str = "*") -> None:
    """Removes what is left in a folder of writes that were killed; what cannot be removed stays.

    names: pattern of the files' names, without their ending.
    """
    with suppress(OSError):
        for file in folder.glob(f"{names}.partial"):
            if time.time() - file.stat().st_mtime > LITTER_AGE:
                file.unlink(missing_ok=True)
