"""Where tuning keeps what it goes on from, under the user's folder: checkpoints of runs, and tables of heads."""

from contextlib import suppress
from pathlib import Path

import folder_paths

from ...vmt.whole_file import drop_partials

KEPT_CHECKPOINTS = 3  # of other runs


def _folder() -> Path:
    return Path(folder_paths.get_user_directory()) / "vmt_tuning"


def checkpoint_file(key: str) -> Path:
    return _folder() / f"{key[:16]}.safetensors"


def kept_tables() -> Path:
    return _folder() / "heads"


def drop_old(checkpoint: Path) -> None:
    """Removes checkpoints of runs that were stopped and not taken up again, but for the last few, and broken writes.

    What cannot be removed stays.
    """
    with suppress(OSError):
        others = [file for file in checkpoint.parent.glob("*.safetensors") if file != checkpoint]
        for file in sorted(others, key=lambda file: file.stat().st_mtime)[:-KEPT_CHECKPOINTS]:
            file.unlink(missing_ok=True)
    for folder in (checkpoint.parent, kept_tables()):
        drop_partials(folder)
