"""What a clip of the demo's world shows: colour and shape of its thing, colour and texture of its ground."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from ..demo.vocabulary import SHAPES
from ..synthetic.shapes import NUM_ANGLES, outline_tables
from .components import areas
from .palette import THINGS, as_frames, ground_colour, shade, thing_distances

GRID = 48  # samples per side of a normalised shape
REACH = 1.05  # half a side of it, in units of the square root of the shape's area
# Full turn of each outline's symmetry, so that a rolled camera does not matter, in steps of at most 5 degrees.
SYMMETRY = {"circle": None, "square": 4, "triangle": 3, "star": 5, "cross": 4}
MIN_PIXELS = 30  # fewer say nothing about a shape

PLAIN = 0.035  # deviation of the shade below which a ground has no texture
STANDS = 0.93  # a ground whose mean over time deviates by this share of one moment's deviation holds still
STRIPED, TILED = 0.7, 0.4  # harmonics of the edges' directions from which on they agree on one, and on a right angle


def judge_colour(frames, mask: np.ndarray) -> str | None:
    """The colour that most of the masked pixels, without the thing's rim, are nearest to; None if there are none.

    frames (T,H,W,3) float 0..1; mask (T,H,W) bool of the thing.
    """
    frames = as_frames(frames)
    inner = _eroded(mask, 1)
    inner = inner if inner.any() else mask
    if not inner.any():
        return None
    votes = thing_distances(frames[inner]).argmin(-1)
    return THINGS[np.bincount(votes, minlength=len(THINGS)).argmax()]


def judge_ground(frames, mask: np.ndarray) -> tuple[str | None, str | None]:
    """Colour word and texture word of what is not the thing; (None, None) where the things hide it all.

    The texture is read from the directions of its edges: stripes have one, tiles have two at a right angle, spots all.
    """
    frames = as_frames(frames)
    outside = ~_dilated(mask, 2)
    colour = ground_colour(frames, outside)
    return (None, None) if colour is None else (colour, _texture(shade(frames, colour), outside))


def judge_shape(frames, mask: np.ndarray) -> str | None:
    """The outline that the largest masked area of most frames overlaps best, size and angle free; None if there is none.

    Each frame votes for the template of the largest intersection over union at equal area and centroid.
    """
    votes = [vote for vote in map(_shape_of, np.asarray(mask, bool)) if vote is not None]
    return max(SHAPES, key=votes.count) if votes else None


def _eroded(mask: np.ndarray, pixels: int) -> np.ndarray:
    return np.stack([cv2.erode(m.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=pixels) for m in mask]) > 0


def _dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    return np.stack([cv2.dilate(m.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=pixels) for m in mask]) > 0


def _texture(shades: np.ndarray, outside: np.ndarray) -> str:
    """Harmonics 2 and 4 of the edges' directions, weighted by the edges' strength to the fourth.

    Where the ground holds still the mean of all frames is judged, since that takes the noise away; else short means are.
    """
    shades = shades.clip(-0.6, 0.9)
    num_frames, pictures = len(shades), []
    for t in range(0, num_frames, 8):
        near = slice(max(0, t - 2), t + 3)
        pictures.append(_mean_picture(shades[near], outside[near]))
    whole = _mean_picture(shades, outside)
    spread = np.mean([picture[where].std() for picture, where in pictures if where.any()])
    if whole[0][whole[1]].std() > STANDS * spread:
        pictures = [whole]
    if spread < PLAIN:
        return "plain"
    second, fourth = np.mean([_edge_harmonics(*picture) for picture in pictures], 0)
    return "striped" if second > STRIPED else "tiled" if fourth > TILED else "spotted"


def _mean_picture(shades: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over time of what is outside the thing, smoothed, and where there is any: two (H,W)."""
    count = outside.sum(0)
    mean = (shades * outside).sum(0) / np.maximum(count, 1)
    return _smoothed(mean.astype(np.float32), count > 0), count > 0


def _edge_harmonics(picture: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    """1 where all edges have one direction, and where they have one or its perpendicular; 0 where they have all."""
    down, right = np.gradient(picture)
    edge = (right + 1j * down)[_eroded(where[None], 3)[0]]
    strength = np.maximum(np.abs(edge), 1e-9)
    weight, direction = strength**4, edge / strength
    total = max(weight.sum(), 1e-30)
    return abs((weight * direction**2).sum()) / total, abs((weight * direction**4).sum()) / total


def _smoothed(frame: np.ndarray, where: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """Gaussian blur that takes nothing from outside `where`."""
    weight = where.astype(np.float32)
    return cv2.GaussianBlur(frame * weight, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)


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


def _shape_of(mask: np.ndarray) -> str | None:
    labels, sizes, centroids = areas(mask)
    if not len(sizes) or sizes.max() < MIN_PIXELS:
        return None
    which = sizes.argmax()
    rows, cols = _grid()
    unit = math.sqrt(sizes[which])
    row, col = (centroids[which][axis] + unit * places for axis, places in enumerate((rows, cols)))
    picture = (labels == 1 + which).astype(np.float32)
    seen = cv2.remap(picture, col.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR, borderValue=0).ravel() > 0.5
    templates, names = _templates()
    shared = templates @ seen.astype(np.float32)
    return names[int((shared / (templates.sum(1) + seen.sum() - shared)).argmax())]
