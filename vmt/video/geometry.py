"""Which size a reference gets, and how one picture is brought to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..errors import InputError

GRID = 16  # pixels per token: 8 by the VAE, 2 by the model's patches
MIN_SIZE = 2 * GRID
MAX_SIZE = 4096
FULL_AREA = 832 * 480  # what Wan 2.1 1.3B was trained at; larger sources are scaled down to it when no size is asked
FITS = ("crop", "pad", "stretch")


def target_size(shown: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The (width, height) to load at, both multiples of 16.

    Args:
        shown: (width, height) of the source as displayed.
        width, height: what was asked, pixels; 0 = from the source. Both 0: the source's own size, scaled down (never
            up) to the area of 832x480. One 0: by the source's shape from the other.
    Raises:
        InputError: an asked size outside 32 to 4096.
    """
    for label, size in (("Width", width), ("Height", height)):
        if size and not MIN_SIZE <= size <= MAX_SIZE:
            raise InputError(
                f"{label} is {size} pixels; {MIN_SIZE} to {MAX_SIZE}, or 0 for the source's, is allowed. "
                f"Choose a multiple of {GRID}."
            )
    shown_width, shown_height = shown
    if width and height:
        return _nearest(width), _nearest(height)
    if width:
        return _nearest(width), _nearest(width * shown_height / shown_width)
    if height:
        return _nearest(height * shown_width / shown_height), _nearest(height)
    scale = min(1.0, math.sqrt(FULL_AREA / (shown_width * shown_height)))
    if scale == 1.0:
        return _clamp(shown_width // GRID * GRID), _clamp(shown_height // GRID * GRID)
    return _largest_within_area(shown_width * scale, shown_height * scale)


def _largest_within_area(width: float, height: float) -> tuple[int, int]:
    """The largest grid size within FULL_AREA among the neighbours of (width, height)."""
    low = [_clamp(int(size // GRID) * GRID) for size in (width, height)]
    sizes = [(low[0] + dw, low[1] + dh) for dw in (0, GRID) for dh in (0, GRID)]
    fitting = [size for size in sizes if size[0] * size[1] <= FULL_AREA] or sizes[:1]
    return max(fitting, key=lambda size: size[0] * size[1])


def _nearest(size: float) -> int:
    return _clamp(math.floor(size / GRID + 0.5) * GRID)


def _clamp(size: int) -> int:
    return min(max(size, MIN_SIZE), MAX_SIZE)


@dataclass(frozen=True)
class FitPlan:
    """How a picture becomes `size`: scale to `scaled`, then cut or add borders around its middle. (rows, columns)."""

    scaled: tuple[int, int]
    size: tuple[int, int]


def plan_fit(shown: tuple[int, int], target: tuple[int, int], fit: str) -> FitPlan:
    """Plan for a source displayed at `shown` (width, height) to fill `target` (width, height).

    fit: "crop" fills the target and cuts what is over, "pad" shows all with black borders, "stretch" distorts.
    """
    if fit not in FITS:
        raise InputError(f"Fit is {fit!r}; one of {', '.join(FITS)} is allowed. Choose crop to keep the proportions.")
    size = (target[1], target[0])
    if fit == "stretch":
        return FitPlan(size, size)
    ratios = (target[1] / shown[1], target[0] / shown[0])
    scale = max(ratios) if fit == "crop" else min(ratios)
    scaled = tuple(max(1, math.floor(side * scale + 0.5)) for side in (shown[1], shown[0]))
    return FitPlan(scaled, size)


def apply_fit(image: torch.Tensor, plan: FitPlan) -> torch.Tensor:
    """(rows, columns, 3), uint8 0..255 or float 0..1, to (*plan.size, 3) float32 0..1.

    Anti-aliased bicubic; a picture that has the size already keeps its values exactly.
    """
    if tuple(image.shape[:2]) != plan.scaled:
        planes = image.permute(2, 0, 1)[None]
        if planes.dtype in (torch.float16, torch.bfloat16):  # the CPU has no half-precision resize
            planes = planes.float()
        planes = F.interpolate(planes, size=plan.scaled, mode="bicubic", antialias=True)
        image = planes[0].permute(1, 2, 0)
    image = image.float() / 255 if image.dtype == torch.uint8 else image.float().clamp(0, 1)
    rows, columns = plan.size[0] - plan.scaled[0], plan.size[1] - plan.scaled[1]
    top, left = rows // 2, columns // 2
    return F.pad(image, (0, 0, left, columns - left, top, rows - top))  # negative amounts cut


def orientation(matrix: list[float]) -> tuple[bool, bool, bool]:
    """A display matrix as (transpose, flip rows, flip columns), to be done in that order.

    matrix: the nine values, row by row, of which [0], [1], [3], [4] map a stored pixel (p, q) to the displayed
    x = m0 p + m3 q, y = m1 p + m4 q, y downwards. Angles in between are taken as the nearest quarter turn.
    Source: ISO/IEC 14496-12, 6.2.2 and 8.3.2 (track header box).
    """
    m0, m1, m3, m4 = (matrix[i] for i in (0, 1, 3, 4))
    if abs(m1) + abs(m3) > abs(m0) + abs(m4):
        return True, m1 < 0, m3 < 0
    return False, m4 < 0, m0 < 0


def turn_upright(image: torch.Tensor, turn: tuple[bool, bool, bool]) -> torch.Tensor:
    """(rows, columns, C) as stored, to as displayed; `turn` from `orientation`."""
    transpose, flip_rows, flip_columns = turn
    if transpose:
        image = image.transpose(0, 1)
    axes = [axis for axis, flip in ((0, flip_rows), (1, flip_columns)) if flip]
    return image.flip(axes) if axes else image
