"""A full disk, which is no case's fault: told as what it is, whoever met it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

CODES = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name))


class DiskFull(InputError):
    """Nothing more can be kept."""


@contextmanager
def telling_disk_full(folder: Path) -> Iterator[None]:
    """Raises DiskFull for an exception that comes of a full disk; lets others through.

    The host's own errors reach us as text only, so the system's words for it are looked for.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if any(os.strerror(code) in str(error) for code in CODES):
            raise DiskFull(
                f"The disk is full ({error}). What is made so far is kept in {folder}. Free some space and start the "
                "bench again."
            ) from error
        raise
