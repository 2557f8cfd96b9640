"""From nothing to a Python and a ComfyUI that can run together. A second time this takes a fraction of a second."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from . import CLONE, STATE, environment, host_python, host_tree, stamp
from .console import say
from .lock import only_one


@dataclass(frozen=True)
class Host:
    python: Path
    tree: Path
    extras: Path | None = None  # packages that `python` lacks, to go last on its path

    def variables(self) -> dict[str, str]:
        """Environment variables for a process that runs in it."""
        found = {**os.environ, "VMT_COMFYUI": str(self.tree), "VMT_EXTRA_PACKAGES": str(self.extras or "")}
        if self.python.is_relative_to(STATE):
            # For our own environment both name another Python's packages.
            found = {name: value for name, value in found.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        return found


def prepare() -> Host:
    """Sets up what is missing. Raises LaunchError."""
    tree = host_tree.named_by_user()
    with only_one(STATE / "setup.lock"):
        if tree is None:
            python = environment.begin(STATE / "venv")
            tree = host_tree.fetch(python)
            return Host(environment.complete(STATE / "venv", _requirements(tree)), tree)
        python = host_python.find(tree)
        if python:
            return Host(python, tree, host_python.add_missing(python))
        folder = STATE / f"venv-{stamp.fingerprint(str(tree))[:8]}"
        say(f"It has no Python of its own in or beside it (COMFYUI_PYTHON names one); using {folder}.")
        environment.begin(folder)
        return Host(environment.complete(folder, _requirements(tree)), tree)


def _requirements(tree: Path) -> str:
    return (tree / "requirements.txt").read_text(encoding="utf-8")


def inside(host: Host, arguments: list[str]) -> list[str]:
    """The command line that runs `vmt ARGUMENTS` with the host's Python; `variables` go with it."""
    # -c and not -m: it needs no particular working folder, and Windows' embedded Python looks into none.
    code = (
        f"import sys, runpy; sys.path[:] = [{str(CLONE)!r}] + [p for p in sys.path if p]; "
        "runpy.run_module('vmt', run_name='__main__', alter_sys=True)"
    )
    return [str(host.python), "-c", code, *arguments]


def is_inside() -> bool:
    """Whether this process was started by `inside`. Asked once: programs it starts are not inside by inheritance."""
    yes = os.environ.pop("VMT_INSIDE", "") == "1"
    if yes and os.environ.get("VMT_EXTRA_PACKAGES"):
        sys.path.append(os.environ["VMT_EXTRA_PACKAGES"])
    return yes
