"""Which of the demo's outlines an area has, by overlap with templates of the same area and centroid."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from ..demo.vocabulary import SHAPES
from ..synthetic.shapes import NUM_ANGLES, outline_tables
from .components import areas

GRID = 48  # samples per side of a normalised shape
REACH = 1.05  # half a side of it, in units of the square root of the shape's area
# Full turn of each outline's symmetry, so that a rolled camera does not matter, in steps of at most 5 degrees.
SYMMETRY = {"circle": None, "square": 4, "triangle": 3, "star": 5, "cross": 4}
MIN_PIXELS = 30  # fewer say nothing about a shape


def _grid() -> tuple[np.ndarray, np.ndarray]:
    places = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID * 2 * REACH - REACH
    return np.meshgrid(places, places, indexing="ij")


@functools.cache
def _templates() -> tuple[np.ndarray, list[str]]:
    """Outlines of area 1 in all their angles as bool pictures (N, GRID * GRID), and the name of each."""
    rows, cols = _grid()
    distance, direction = np.hypot(rows, cols), np.arctan2(rows, cols)
    pictures, names = [], []
    for shape, radius in zip(SHAPES, outline_tables()[0].numpy(), strict=True):
        radius = radius / math.sqrt((radius**2).mean() * math.pi)
        fold = SYMMETRY[shape]
        turns = 1 if fold is None else math.ceil(360 / fold / 5)
        for turn in range(turns):
            angle = 0.0 if fold is None else 2 * math.pi / fold * turn / turns
            index = np.floor((direction - angle + math.pi) / (2 * math.pi) * NUM_ANGLES).astype(int) % NUM_ANGLES
            pictures.append((distance <= radius[index]).ravel())
            names.append(shape)
    return np.stack(pictures).astype(np.float32), names


def outline_of(mask: np.ndarray) -> str | None:
    """The outline that the largest area of one frame's mask (H,W) overlaps best (intersection over union).

    Size, place and angle are free. None where the area is too small to tell.
    """
    labels, sizes, centroids = areas(mask)
    if not len(sizes) or sizes.max() < MIN_PIXELS:
        return None
    which = sizes.argmax()
    rows, cols = _grid()
    unit = math.sqrt(sizes[which])
    row, col = (centroids[which][axis] + unit * places for axis, places in enumerate((rows, cols)))
    picture = (labels == 1 + which).astype(np.float32)
    picture = cv2.remap(picture, col.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR, borderValue=0)
    seen = picture.ravel() > 0.5
    templates, names = _templates()
    shared = templates @ seen.astype(np.float32)
    return names[int((shared / (templates.sum(1) + seen.sum() - shared)).argmax())]
