"""Shapes as polar outlines: how far the edge lies from the centre in each direction.

All shapes here are star-shaped about their centre, so one table of radii describes each of them, and a whole batch of
mixed shapes is drawn with one look-up.
"""

from __future__ import annotations

import functools
import math

import torch

from ..demo.vocabulary import SHAPES

NUM_ANGLES = 2048


def _regular(num: int, radius: float = 1.0, start: float = -math.pi / 2) -> list[tuple[float, float]]:
    """Corners (row, col) of a regular polygon, the first one up."""
    angles = [start + 2 * math.pi * i / num for i in range(num)]
    return [(radius * math.sin(a), radius * math.cos(a)) for a in angles]


def _corners(shape: str) -> list[tuple[float, float]]:
    if shape == "square":
        return _regular(4, start=-math.pi / 4)
    if shape == "triangle":
        return _regular(3)
    if shape == "star":
        outer, inner = _regular(5), _regular(5, 0.42, -math.pi / 2 + math.pi / 5)
        return [corner for pair in zip(outer, inner, strict=True) for corner in pair]
    arm = 0.34
    quarter = [(-1.0, -arm), (-1.0, arm), (-arm, arm)]
    return [(r * c - q * s, r * s + q * c) for c, s in ((1, 0), (0, -1), (-1, 0), (0, 1)) for r, q in quarter]


# Bounding radius of each shape in units of the object's size: chosen by eye so that all look about equally large.
_BOUND = {"circle": 0.92, "square": 1.14, "triangle": 1.24, "star": 1.28, "cross": 1.12}


@functools.cache
def outline_tables() -> tuple[torch.Tensor, torch.Tensor]:
    """Edge radius and edge slope per shape and direction.

    Returns:
        radius (num_shapes, 2048) in units of the object's size; slope (num_shapes, 2048), the cosine between the ray
        and the edge's normal, which turns a distance along the ray into a distance from the edge. Direction i is the
        angle atan2(row, col) = -pi + 2 pi i / 2048.
    """
    radii, slopes = [], []
    theta = torch.linspace(-math.pi, math.pi, NUM_ANGLES + 1, dtype=torch.float64)[:-1]
    ray = torch.stack([theta.sin(), theta.cos()], -1)
    for shape in SHAPES:
        if shape == "circle":
            radius, slope = torch.ones(NUM_ANGLES, dtype=torch.float64), torch.ones(NUM_ANGLES, dtype=torch.float64)
        else:
            radius, slope = _polygon_outline(torch.tensor(_corners(shape), dtype=torch.float64), ray)
        radii.append(radius * _BOUND[shape])
        slopes.append(slope)
    return torch.stack(radii).float(), torch.stack(slopes).float()


def _polygon_outline(corners: torch.Tensor, ray: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    start, edge = corners, corners.roll(-1, 0) - corners
    # Solve t * ray = start + s * edge for every ray and edge; the edge hit with 0 <= s <= 1 and t > 0 is the outline.
    cross = ray[:, None, 0] * edge[None, :, 1] - ray[:, None, 1] * edge[None, :, 0]
    t = (start[:, 0] * edge[:, 1] - start[:, 1] * edge[:, 0])[None] / cross
    s = (start[None, :, 0] * ray[:, None, 1] - start[None, :, 1] * ray[:, None, 0]) / cross
    hit = (t > 0) & (s >= -1e-9) & (s <= 1 + 1e-9)
    radius, which = torch.where(hit, t, torch.inf).min(1)
    slope = (cross.abs() / edge.norm(dim=1)[None]).gather(1, which[:, None])[:, 0]
    return radius, slope


def bounding_radius(shape: str) -> float:
    """Largest distance from centre to edge, in units of the object's size."""
    return float(outline_tables()[0][SHAPES.index(shape)].max())
