"""What pictures of figures have in common: matplotlib, which is asked for when one is drawn, and the kinds of files."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError

KINDS = (".png", ".svg")


def check_picture(path: Path | None) -> None:
    """Raises InputError for the name of another kind of file, or without matplotlib; None is fine."""
    if path is None:
        return
    if path.suffix not in KINDS:
        raise InputError(f"{path} is no picture's name; {' or '.join(KINDS)} is allowed. Change its end.")
    new_figure(1, 1)


def new_figure(width: float, height: float):
    """An empty matplotlib Figure, inches. Raises InputError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("--picture needs matplotlib, which is not here. Install it, or leave --picture out.") from None
    return Figure((width, height), layout="constrained")


def save(figure, path: Path) -> None:
    figure.savefig(path, dpi=130)
