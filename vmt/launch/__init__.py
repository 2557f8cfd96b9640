"""The `python3 -m vmt` commands: an environment, a ComfyUI to talk to, and a client for it. Standard library only."""

from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
STATE = CLONE / ".vmt"  # everything that is made here, and safe to delete
