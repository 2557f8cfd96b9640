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

PLAIN = 0.03  # deviation of the blurred shade below which a ground has no texture
COARSE = 4.0  # pixels, the blur below which noise is told from a texture, whose cells are 20 to 32 pixels wide
STANDS = 0.85  # a ground holds still between two moments if their blurred pictures correlate by more than this
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

    Where the ground holds still the mean of all frames is judged, since that takes the noise away; else means of
    neighbouring frames that look alike are.
    """
    shades = shades.clip(-0.6, 0.9)
    coarse = [_smoothed(*frame, COARSE) for frame in zip(shades, outside, strict=True)]
    chosen = [t for t in range(0, len(shades), 8) if outside[t].any()]
    if np.mean([coarse[t][outside[t]].std() for t in chosen]) < PLAIN:
        return "plain"
    if _alike(coarse[0], coarse[-1], outside[0] & outside[-1]) and _alike(coarse[0], coarse[len(coarse) // 2], outside[0]):
        pictures = [_mean_picture(shades, outside)]
    else:
        near = [[u for u in range(t - 2, t + 3) if 0 <= u < len(coarse) and _alike(coarse[t], coarse[u], outside[t])]
                for t in chosen]  # fmt: skip
        pictures = [_mean_picture(shades[some], outside[some]) for some in near]
    second, fourth = np.mean([_edge_harmonics(*picture) for picture in pictures], 0)
    return "striped" if second > STRIPED else "tiled" if fourth > TILED else "spotted"


def _alike(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> bool:
    return bool(where.any()) and np.corrcoef(a[where], b[where])[0, 1] > STANDS


def _mean_picture(shades: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over time of what is outside the thing, smoothed, and where there is any: two (H,W)."""
    count = outside.sum(0)
    mean = (shades * outside).sum(0) / np.maximum(count, 1)
    return _smoothed(mean.astype(np.float32), count > 0), count > 0


def _edge_harmonics(picture: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    """1 where all edges have one direction, and where they have one or its perpendicular; 0 where they have all.

    Directions are doubled angles, in which a blur lets noise, which has all of them, cancel (the structure tensor).
    """
    down, right = np.gradient(picture)
    doubled = (right + 1j * down) ** 2
    doubled = cv2.GaussianBlur(doubled.real, (0, 0), 2.5) + 1j * cv2.GaussianBlur(doubled.imag, (0, 0), 2.5)
    doubled = doubled[_eroded(where[None], 4)[0]]
    strength = np.maximum(np.abs(doubled), 1e-12)
    total = max((strength**2).sum(), 1e-30)
    return abs((strength * doubled).sum()) / total, abs((doubled**2).sum()) / total


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
