"""Files that are there whole or not at all: written beside themselves, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
