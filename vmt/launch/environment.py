"""Our own virtual environment: made, filled, and known to be whole.

A stamp is written last. With a stamp of the same recipe a run starts at once; with an older one the missing packages
are installed on top; without one (the set-up was interrupted) the environment is made again from nothing, since pip
may take a half-copied package for an installed one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from . import STATE, stamp
from .console import LaunchError, say, step
from .pip import pip

TORCH = "torch==2.13.*"
TORCHVISION = "torchvision==0.28.*"
# Needed by the host's own requirements.txt without being named there, by this package, and by its tests.
ALSO = (
    "requests",
    "torchsde",
    "opencv-python-headless",
    "matplotlib",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "selenium",
)
# torch and torchvision come first and on their own; torchaudio has no build for this torch; the other two are
# hundreds of MB of example files.
LEFT_OUT = ("torch", "torchvision", "torchaudio", "comfyui-workflow-templates", "comfyui-embedded-docs")
GIGABYTES = 4
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
STAMP = "vmt-stamp.json"


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def kept_requirements(text: str) -> list[str]:
    """The lines of the host's requirements.txt that are installed as they stand."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and _package(line) not in LEFT_OUT]


def begin(folder: Path) -> Path:
    """The environment's python, able to run pip. Makes the environment anew unless a stamp says that it is whole."""
    finished = stamp.read(folder / STAMP)
    if finished and finished.get("python") == _version_of(python_of(folder)):
        return python_of(folder)
    if folder.exists():
        say(f"The environment in {folder} is unfinished or its Python is gone; making it again.")
        _remove(folder)
    _check_disk(folder.parent)
    with step(f"Making a virtual environment with Python {sys.version_info[0]}.{sys.version_info[1]}"):
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
    if made.returncode:
        said = (made.stdout + made.stderr).strip()
        raise LaunchError(
            f"{sys.executable} could not make a virtual environment:\n{said}\n"
            "The modules venv and ensurepip are needed; on Debian and Ubuntu: apt install python3-venv."
        )
    return python_of(folder)


def complete(folder: Path, host_requirements: str) -> Path:
    """Installs what the recipe names, unless the stamp says that it is there. `begin` comes first."""
    python = python_of(folder)
    wanted = [*kept_requirements(host_requirements), *ALSO]
    recipe = stamp.fingerprint(TORCH, TORCHVISION, wanted)
    if (stamp.read(folder / STAMP) or {}).get("recipe") == recipe:
        return python
    (folder / STAMP).unlink(missing_ok=True)
    _check_disk(folder.parent)
    source = _smaller_torch()
    # spandrel asks for torchvision, and torchvision for one exact torch; in one go pip would swap the torch that the
    # machine's own index offers for the build with every CUDA library in it.
    with step("Installing PyTorch"):
        pip(python, "install", *source, TORCH)
    with step("Installing torchvision"):
        pip(python, "install", "--no-deps", *source, TORCHVISION)
    constraint = folder / "vmt-constraint.txt"
    constraint.write_text(f"torch=={_installed(python, 'torch')}\n", encoding="utf-8")
    with step(f"Installing {len(wanted)} packages for ComfyUI and the tests"):
        pip(python, "install", "-c", str(constraint), *wanted)
    stamp.write(folder / STAMP, {"recipe": recipe, "python": _version_of(python)})
    return python


def _package(requirement: str) -> str:
    return re.split(r"[\s<>=!~;\[@]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _ask(python: Path, code: str) -> str | None:
    try:
        asked = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def _version_of(python: Path) -> str | None:
    # Also tells a system upgrade: the link then starts a Python that does not see the installed packages.
    return _ask(python, "import sys; print('%d.%d' % sys.version_info[:2])")


def _installed(python: Path, package: str) -> str:
    version = _ask(python, f"import importlib.metadata as m; print(m.version({package!r}))")
    if not version:
        raise LaunchError(f"{package} was installed but {python} does not find it. Delete {STATE} and run again.")
    return version


def _smaller_torch() -> list[str]:
    """On Linux without an NVIDIA driver: the index that has PyTorch without several GB of CUDA, where reachable."""
    if not sys.platform.startswith("linux") or shutil.which("nvidia-smi"):
        return []
    try:
        urllib.request.urlopen(f"{CPU_WHEELS}/torch/", timeout=5).close()
    except (urllib.error.URLError, OSError):
        return []
    return ["--extra-index-url", CPU_WHEELS]


def _check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < GIGABYTES:
        raise LaunchError(
            f"{folder} is on a disk with {free:.1f} GB free; the set-up needs {GIGABYTES} GB (about 10 with the CUDA "
            "build of PyTorch). Make room, or clone the repository to another disk."
        )


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise LaunchError(
            f"Cannot delete the unfinished environment {folder} ({error}). Close programs that use it, or delete it."
        ) from error
