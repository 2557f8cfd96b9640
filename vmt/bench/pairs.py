"""Two things that move at once: paths in a square from -1 to 1, (row, col), turned by quarters for their directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import torch

Paths = tuple[torch.Tensor, torch.Tensor]


def _way(start: tuple[float, float], end: tuple[float, float], progress: torch.Tensor) -> torch.Tensor:
    start, end = torch.tensor(start), torch.tensor(end)
    return start + progress[:, None] * (end - start)


def _eased(rng: Random, t: torch.Tensor) -> torch.Tensor:
    return rng.choice((t, t * t * (3 - 2 * t)))


def opposite(rng: Random, t: torch.Tensor) -> Paths:
    row, s = rng.uniform(0.4, 0.8), _eased(rng, t)
    return _way((-row, -1.0), (-row, 1.0), s), _way((row, 1.0), (row, -1.0), s)


def together(rng: Random, t: torch.Tensor) -> Paths:
    row, s = rng.uniform(0.4, 0.8), _eased(rng, t)
    return _way((-row, -1.0), (-row, 1.0), s), _way((row, -1.0), (row, 1.0), s)


def one_ahead(rng: Random, t: torch.Tensor) -> Paths:
    row, share = rng.uniform(0.4, 0.8), rng.uniform(0.35, 0.55)
    return _way((-row, -1.0), (-row, 1.0), t), _way((row, -1.0), (row, -1.0 + 2 * share), t)


def crossing(rng: Random, t: torch.Tensor) -> Paths:
    """Their ways cross in the middle; one is there first."""
    early = rng.uniform(0.75, 0.9)
    return _way((0.0, -1.0), (0.0, 1.0), (t / early).clamp(max=1)), _way((-1.0, 0.0), (1.0, 0.0), t**1.5)


def meet_and_part(rng: Random, t: torch.Tensor) -> Paths:
    s = (1 - (2 * t - 1).abs()) * rng.uniform(0.7, 0.8)
    return _way((0.0, -1.0), (0.0, 0.0), s), _way((0.0, 1.0), (0.0, 0.0), s)


def one_still(rng: Random, t: torch.Tensor) -> Paths:
    row = rng.uniform(0.5, 0.8)
    return _way((-row, -1.0), (-row, 1.0), _eased(rng, t)), _way((row, rng.uniform(-0.8, 0.8)), (0.0, 0.0), 0 * t)


def one_swings(rng: Random, t: torch.Tensor) -> Paths:
    row, phase = rng.uniform(0.5, 0.8), 2 * math.pi * (rng.uniform(0.8, 1.4) * t + rng.random())
    return _way((-row, -0.8), (-row, 0.8), 0.5 + 0.5 * phase.sin()), _way((row, 0.0), (0.0, 0.0), 0 * t)


def one_orbits(rng: Random, t: torch.Tensor) -> Paths:
    angle = 2 * math.pi * (rng.uniform(0.8, 1.2) * t + rng.random())
    return 0.85 * torch.stack([angle.sin(), angle.cos()], -1), _way((0.0, 0.0), (0.0, 0.0), t)


def circling(rng: Random, t: torch.Tensor) -> Paths:
    angle = 2 * math.pi * (rng.uniform(0.8, 1.2) * t + rng.random())
    path = 0.7 * torch.stack([angle.sin(), angle.cos()], -1)
    return path, -path


def relay(rng: Random, t: torch.Tensor) -> Paths:
    """One goes, then the other."""
    row = rng.uniform(0.4, 0.8)
    first, second = (2 * t).clamp(max=1), (2 * t - 1).clamp(min=0)
    return _way((-row, -1.0), (-row, 1.0), first), _way((row, -1.0), (row, 1.0), second)


def change_places(rng: Random, t: torch.Tensor) -> Paths:
    angle = math.pi * (_eased(rng, t) + rng.choice((0, 0.5, 1, 1.5)))
    path = torch.stack([0.6 * angle.sin(), 0.9 * angle.cos()], -1)
    return path, -path


Pattern = Callable[[Random, torch.Tensor], Paths]
QUARTERS = ("right", "down", "left", "up")
# pattern -> how many quarter turns of it differ; those of two are told apart by their axis, or by their sense
SEEN: dict[Pattern, int] = {
    opposite: 4, together: 4, one_ahead: 4, crossing: 4, meet_and_part: 2, one_still: 4, one_swings: 2
}  # fmt: skip
UNSEEN: dict[Pattern, int] = {relay: 4}
SEEN_TURNING: tuple[Pattern, ...] = (one_orbits,)
UNSEEN_TURNING: tuple[Pattern, ...] = (circling, change_places)


def turned(paths: Paths, quarters: int) -> Paths:
    """Both paths turned clockwise on the screen by quarters."""
    for _ in range(quarters % 4):
        paths = tuple(torch.stack([path[:, 1], -path[:, 0]], -1) for path in paths)
    return paths


def mirrored(paths: Paths) -> Paths:
    """Left and right exchanged, so that what went clockwise goes the other way."""
    return tuple(path * torch.tensor([1.0, -1.0]) for path in paths)
