"""Several results beside one another: which of them moves as the reference does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..contact_sheet import contact_sheet
from ..errors import InputError
from .motion_report import ClipMotion, report_motion
from .palette import as_frames

TABLE = {  # figure -> heading, decimals
    "located_correlation": ("same places", 2),
    "centred_correlation": ("path", 2),
    "camera_correlation": ("camera", 2),
    "wrong_way": ("wrong way", 2),
    "speed_ratio": ("speed", 2),
    "leakage": ("leakage", 2),
    "warp_error": ("warp error", 3),
}
REFERENCE = "reference"  # what the sheet calls it
TILE = 192  # pixels; larger frames are made smaller on the sheet
COLUMNS = 9


@dataclass(frozen=True)
class Comparison:
    """figures: name -> figures of `report_motion`; skipped: name -> why it could not be measured; tiles: name -> frames
    (T,h,w,3) of those that could, the reference first, small as the sheet shows them."""

    figures: dict[str, dict[str, float | None]]
    skipped: dict[str, str]
    tiles: dict[str, np.ndarray]

    def table(self) -> str:
        """Markdown: a row for each result, then what was skipped and why."""
        names = [name for name in TABLE if any(name in figures for figures in self.figures.values())]
        lines = ["| result | " + " | ".join(TABLE[name][0] for name in names) + " |", "|---" * (len(names) + 1) + "|"]
        for result, figures in self.figures.items():
            cells = [result.replace("|", "\\|"), *(_cell(figures.get(name), TABLE[name][1]) for name in names)]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines + [f"\n{name} was left out: {reason}" for name, reason in self.skipped.items()])

    def sheet(self) -> torch.Tensor:
        """The clips under one another, frame by frame: (1,H,W,3) float32 0..1."""
        rows = {name: torch.from_numpy(clip) for name, clip in self.tiles.items()}
        return torch.from_numpy(np.asarray(contact_sheet(rows, COLUMNS), np.float32) / 255)[None]


def compare(
    reference, outputs: Mapping[str, object], unguided=None, on_step: Callable[[], None] | None = None
) -> Comparison:
    """Measure each of the outputs against the reference. One that does not fit is skipped, and the reason is kept.

    Args:
        reference: (T,H,W,3) float 0..1; outputs: name -> frames of the same form; unguided: as in `report_motion`.
        on_step: as in `ClipMotion.of`, for the reference and each output that fits.
    Raises:
        InputError: a reference of one frame, an output named "reference", no output at all, or none that fits.
    """
    if REFERENCE in outputs:
        raise InputError(
            f"A result is called {REFERENCE!r}; any other name is allowed, since the sheet calls the reference so. "
            "Change the name."
        )
    measured = ClipMotion.of(reference, on_step)
    unguided = None if unguided is None else as_frames(unguided)
    figures, skipped, tiles = {}, {}, {REFERENCE: _tiles(measured.frames)}
    for name, output in outputs.items():
        try:
            output = as_frames(output)
            figures[name] = report_motion(measured, output, unguided, on_step).figures
            tiles[name] = _tiles(output)
        except InputError as error:
            skipped[name] = str(error)
    if not figures:
        reasons = " ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise InputError(
            f"{len(outputs)} results were given; one that can be measured is needed. Connect one. {reasons}"
        )
    return Comparison(figures, skipped, tiles)


def _cell(value: float | None, decimals: int) -> str:
    return "undefined" if value is None else f"{value:.{decimals}f}"


def _tiles(frames: np.ndarray) -> np.ndarray:
    scale = TILE / max(frames.shape[1:3])
    if scale >= 1:
        return frames
    return np.stack([cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in frames])
