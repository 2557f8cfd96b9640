"""The texture of a ground by the directions of its edges: stripes have one, tiles two at a right angle, spots all."""

from __future__ import annotations

import cv2
import numpy as np

PLAIN = 0.022  # spread of the blurred shade below which a ground has no texture
COARSE = 4.0  # pixels, the blur below which noise is told from a texture, whose cells are 20 to 32 pixels wide
STANDS = 0.85  # a ground holds still between two moments if their blurred pictures correlate by more than this
DIRECTED = 0.22  # share of the edges that agree on a direction or its perpendicular; below it they have all directions
STRIPED = 0.9  # of them, the share that agree on the direction itself: 1 for stripes however noisy, less for tiles


def texture_of(shades: np.ndarray, outside: np.ndarray) -> str:
    """Word of `vocabulary.TEXTURES` for a ground's shades (T,H,W) where `outside` (T,H,W) bool says that it is seen.

    Where the ground holds still the median over all frames is judged, since that takes away noise and what a VAE leaves
    behind a thing; else medians of neighbouring frames that look alike are. A ground that is never seen is plain.
    """
    seen = outside.any((1, 2))
    shades, outside = shades[seen].clip(-0.3, 0.5), outside[seen]
    coarse = [_smoothed(*frame, COARSE) for frame in zip(shades, outside, strict=True)]
    moments = range(0, len(coarse), 8)
    if not len(coarse) or np.mean([_spread(coarse[t][outside[t]]) for t in moments]) < PLAIN:
        return "plain"

    def alike(t, u):
        where = outside[t] & outside[u]
        both = np.stack([coarse[t][where], coarse[u][where]])
        return where.any() and both.std(1).min() > 1e-6 and np.corrcoef(both)[0, 1] > STANDS

    if alike(0, len(coarse) // 2) and alike(0, len(coarse) - 1):
        pictures = [_median_picture(shades, outside)]
    else:
        near = [[u for u in range(t - 2, t + 3) if u == t or (0 <= u < len(coarse) and alike(t, u))] for t in moments]
        pictures = [_median_picture(shades[some], outside[some]) for some in near]
    second, fourth = np.mean([_edge_harmonics(*picture) for picture in pictures], 0)
    if max(second, fourth) < DIRECTED:
        return "spotted"
    return "striped" if second > STRIPED * fourth else "tiled"


def _spread(values: np.ndarray) -> float:
    """Standard deviation, by the middle four fifths: a small spoiled area does not count."""
    low, high = np.quantile(values, (0.1, 0.9))
    return float(high - low) / 2.56


def _median_picture(shades: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median over time of what is outside the thing, smoothed, and where there is any: two (H,W)."""
    count = outside.sum(0)
    ranked = np.sort(np.where(outside, shades, np.inf), axis=0)
    middle = np.take_along_axis(ranked, (np.maximum(count, 1) - 1)[None] // 2, 0)[0]
    return _smoothed(np.where(count > 0, middle, 0).astype(np.float32), count > 0), count > 0


def _edge_harmonics(picture: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    """1 where all edges have one direction, and where they have one or its perpendicular; 0 where they have all.

    Directions are doubled angles, in which a blur lets noise, which has all of them, cancel (the structure tensor).
    """
    down, right = np.gradient(picture)
    doubled = (right + 1j * down) ** 2
    doubled = cv2.GaussianBlur(doubled.real, (0, 0), 2.5) + 1j * cv2.GaussianBlur(doubled.imag, (0, 0), 2.5)
    doubled = doubled[cv2.erode(where.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0]
    if not len(doubled):
        return 0.0, 0.0
    strength = np.maximum(np.abs(doubled), 1e-12)
    weight, direction = strength**1.5, doubled / strength
    return abs((weight * direction).sum()) / weight.sum(), abs((weight * direction**2).sum()) / weight.sum()


def _smoothed(frame: np.ndarray, where: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """Gaussian blur that takes nothing from outside `where`."""
    weight = where.astype(np.float32)
    return cv2.GaussianBlur(frame * weight, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
