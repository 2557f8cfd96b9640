"""One set-up at a time. The operating system drops the lock when its process ends, however it ends."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path

from .console import LaunchError, say

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


def _try_lock(descriptor: int) -> bool:
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


@contextmanager
def only_one(path: Path):
    """Waits until no other process holds `path`, then holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise LaunchError(
            f"Cannot write to {path.parent} ({error.strerror}). The set-up needs a folder it may write to: "
            "clone the repository to such a place, or change the folder's rights."
        ) from error
    try:
        if not _try_lock(descriptor):
            say("Another run is setting up this folder; waiting for it.")
            while not _try_lock(descriptor):
                time.sleep(0.5)
        yield
    finally:
        os.close(descriptor)  # also releases the lock
