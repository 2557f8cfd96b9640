"""The tests: all of them on several cores, or those that pytest's own options name, as pytest does it."""

from __future__ import annotations

import os

from . import CLONE

WORKERS = 4  # at most: each starts a ComfyUI of its own, which takes some GB


def run(options: list[str]) -> int:
    """Pytest's exit status. Without options a worker for each of up to four cores, a test file to one worker."""
    import pytest

    cores = _cores()
    workers = min(WORKERS, cores)
    if not options and workers > 1:
        # Inherited by the workers and by the hosts that they start. Threads of PyTorch that wait for a core that is
        # taken cost more than they bring.
        os.environ.setdefault("OMP_NUM_THREADS", str(cores // workers))
        options = ["--numprocesses", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    return int(pytest.main(["--rootdir", str(CLONE), "-c", str(CLONE / "pyproject.toml"), *options]))


def _cores() -> int:
    """Cores this process may use, which in a container or under taskset are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
