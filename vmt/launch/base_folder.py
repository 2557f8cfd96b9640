"""The folder that stands in for ComfyUI's own models, custom_nodes, input, output and user, so those stay clean."""

from __future__ import annotations

import os
from pathlib import Path

from . import CLONE, STATE
from .console import LaunchError

BASE = STATE / "base"
PACK = "comfyui-vmt"


def prepare(base: Path = BASE) -> Path:
    """Makes `base` with this repository as its only node pack, and returns it. Used as --base-directory."""
    for name in ("custom_nodes", "models", "input", "output", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    link = base / "custom_nodes" / PACK
    if link.exists() and os.path.samefile(link, CLONE):
        return base
    if os.path.lexists(link):
        _unlink(link)
    _link(CLONE, link)
    return base


def _link(target: Path, link: Path) -> None:
    try:
        os.symlink(target, link, target_is_directory=True)
    except OSError:
        if os.name != "nt":
            raise
        # Windows keeps symbolic links to administrators; a junction needs no right.
        import _winapi

        _winapi.CreateJunction(str(target), str(link))


def _unlink(link: Path) -> None:
    try:
        # A link of an earlier place of this clone. Neither call deletes a folder that has anything in it.
        link.unlink() if link.is_symlink() else os.rmdir(link)
    except OSError as error:
        raise LaunchError(
            f"{link} is in the way: it must be a link to {CLONE}. Move it elsewhere and run again."
        ) from error
