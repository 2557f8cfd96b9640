"""The Python of an existing ComfyUI. Its packages are used and never changed: what it lacks goes to our own folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import STATE, stamp
from .console import LaunchError, say, step
from .pip import pip

# module: package. Beyond ComfyUI, this is what the demo and the tests import.
ALSO = {
    "cv2": "opencv-python-headless",
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
    "xdist": "pytest-xdist",
    "execnet": "execnet",
    "iniconfig": "iniconfig",
    "pluggy": "pluggy",
    "packaging": "packaging",
    "pygments": "pygments",
    "exceptiongroup": "exceptiongroup",  # Python 3.10 only, as is the next
    "tomli": "tomli",
}
ON_3_10 = ("exceptiongroup", "tomli")
NEEDED = ("torch", "aiohttp", "safetensors", "av")
PROBE = (
    "import importlib.util as u, json, sys; "
    "print(json.dumps([sys.version_info[:2], [m for m in sys.argv[1:] if not u.find_spec(m)]]))"
)


def find(tree: Path) -> Path | None:
    """COMFYUI_PYTHON, or the environment that lies in or beside `tree`, or None."""
    named = os.environ.get("COMFYUI_PYTHON", "").strip()
    if named:
        found = shutil.which(os.path.expanduser(named))
        if not found:
            raise LaunchError(
                f"COMFYUI_PYTHON is {named}, which is no program. It must be the python that runs ComfyUI in {tree}. "
                "Correct it, or unset it."
            )
        # Not resolved: the link inside a virtual environment is what makes its packages visible.
        python, why = Path(os.path.abspath(found)), "COMFYUI_PYTHON"
    else:
        folders = [base / name for base in (tree, tree.parent) for name in (".venv", "venv", "python_embeded")]
        programs = [folder / name for folder in folders for name in ("bin/python", "Scripts/python.exe", "python.exe")]
        python, why = next((program for program in programs if program.is_file()), None), "found with it"
    if python:
        say(f"Using its Python, {python} ({why}).")
    return python


def add_missing(python: Path) -> Path | None:
    """The folder with the packages that `python` lacks, to go last on its path. Raises LaunchError if it is unfit."""
    version, missing = _probe(python)
    if version < (3, 10):
        raise LaunchError(f"{python} is Python {version[0]}.{version[1]}; ComfyUI and this need 3.10 or later.")
    lacking = [module for module in NEEDED if module in missing]
    if lacking:
        raise LaunchError(
            f"{python} has no {', '.join(lacking)}, so it does not run ComfyUI. Set COMFYUI_PYTHON to the python that "
            "you start ComfyUI with."
        )
    packages = [ALSO[module] for module in missing if version < (3, 11) or module not in ON_3_10]
    if not packages:
        return None
    # Named after its content and renamed into place when it is whole: what is there is finished.
    extras = STATE / f"extras-{stamp.fingerprint(str(python), version, packages)[:8]}"
    if extras.is_dir():
        return extras
    with (
        step(f"Installing {', '.join(packages)} beside it, in {STATE}"),
        tempfile.TemporaryDirectory(prefix="extras.part.", dir=STATE) as work,
    ):
        # --no-deps: numpy and the like are there already, and must stay the ones that ComfyUI uses.
        pip(python, "install", "--no-deps", "--target", str(Path(work, "new")), *packages)
        os.replace(Path(work, "new"), extras)
    return extras


def _probe(python: Path) -> tuple[tuple[int, int], list[str]]:
    asked = subprocess.run([str(python), "-c", PROBE, *NEEDED, *ALSO], capture_output=True, text=True)
    if asked.returncode:
        raise LaunchError(f"{python} does not start:\n{asked.stderr.strip()[-800:]}")
    version, missing = json.loads(asked.stdout)
    return tuple(version), missing
