"""One set-up at a time. The operating system drops the lock when its process ends, however it ends."""

from __future__ import annotations

import errno
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

_HELD = (errno.EAGAIN, errno.EWOULDBLOCK) if fcntl else (errno.EACCES, errno.EDEADLK)


def _try_lock(descriptor: int) -> bool:
    """False if another holds it. Raises OSError where the file system has no locks, as some network folders."""
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def _wait_for_lock(descriptor: int) -> None:
    try:
        if not _try_lock(descriptor):
            say("Another run is setting up this folder; waiting for it.")
            while not _try_lock(descriptor):
                time.sleep(0.5)
    except OSError as error:
        say(f"This folder cannot be locked ({error.strerror}). Going on; start no second run until it is set up.")


@contextmanager
def only_one(path: Path):
    """Waits until no other process holds `path`, then holds it; where files cannot be locked, says so and goes on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise LaunchError(
            f"Cannot write to {path.parent} ({error.strerror}). The set-up needs a folder it may write to: "
            "clone the repository to such a place, or change the folder's rights."
        ) from error
    try:
        _wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)  # also releases the lock
