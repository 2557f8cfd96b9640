"""pip, quiet: its warnings go to a log, its errors into our message."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import STATE
from .console import LaunchError

LOG = STATE / "setup.log"
# What pip says, and what it means for the one who reads it. The first match counts.
HINTS = (
    ("No space left", "The disk is full. Make room and run the command again."),
    ("HASHES", "The file that came is not the expected one. Check which package index pip uses (pip config list)."),
    ("Requires-Python", "No build fits this Python. Use a newer or a more common one, for example 3.11 to 3.13."),
    ("from versions: none", "No package index was reached, or none has it for this Python and system. Check the "
     "network (proxy: set HTTPS_PROXY) and `pip config list`, then run the command again."),
    ("No matching distribution", "The package indexes that pip uses lack this version. Check `pip config list`."),
    ("Read timed out", "The network is slow or gone. Run the command again: finished downloads are kept."),
    ("Connection", "Check the network (proxy: set HTTPS_PROXY), then run the command again."),
)  # fmt: skip


def pip(python: Path, command: str, *arguments: str) -> None:
    """Runs `pip COMMAND ARGUMENTS`. Raises LaunchError with pip's last words and what to do about them."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    # -qq: errors only. A machine with local indexes gets a warning per package otherwise.
    call = [str(python), "-m", "pip", command, "-qq", "--no-input", "--disable-pip-version-check", "--log", str(LOG)]
    # PIP_USER and PIP_REQUIRE_VIRTUALENV are settings for a system's own Python; PYTHONPATH would hide packages.
    ours = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET")}
    done = subprocess.run(
        [*call, *arguments],
        env={**ours, "PIP_REQUIRE_VIRTUALENV": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode == 0:
        return
    said = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith("WARNING")]
    text = "\n".join(said[-12:])
    hint = next((advice for sign, advice in HINTS if sign in text), "Run the command again, or see the log.")
    raise LaunchError(f"pip {command} {' '.join(arguments)} failed:\n{text}\n{hint}\nFull log: {LOG}")
