"""What tells one motion of a family from another: predicates on a drawn path, camera or figure.

A family of motions is drawn by lot, its direction with it; a named motion of the bench is the family drawn again until
the predicate holds.
"""

from __future__ import annotations

import math

import torch

DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")


def _octant(step: torch.Tensor, parts: int = 8) -> int:
    """Which of `parts` equal sectors a (row, col) step points into; 0 is to the right, then clockwise on the screen."""
    return round(math.atan2(float(step[0]), float(step[1])) / (2 * math.pi / parts)) % parts


def heads(direction: str, parts: int = 8):
    """The way from the first place to the last points so, within an eighth (or a quarter) of a turn."""
    sector = DIRECTIONS.index(direction) * parts // 8
    return lambda path: _octant(path[-1] - path[0], parts) == sector


def turns(clockwise: bool):
    """The path bends that way on the screen, all in all."""

    def fits(path):
        step = path.diff(dim=0)
        bend = (step[:-1, 1] * step[1:, 0] - step[:-1, 0] * step[1:, 1]).sum()
        return bool(bend > 0) == clockwise

    return fits


def swings(direction: str):
    """The longest axis of the path lies so: to the right, down right, down or down left."""

    def fits(path):
        centred = path - path.mean(0)
        axis = torch.linalg.svd(centred, full_matrices=False)[2][0]
        return _octant(axis) % 4 == DIRECTIONS.index(direction)

    return fits


def shrinks(inwards: bool):
    """The path ends nearer to its middle than it begins, or further away."""

    def fits(path):
        distance = (path - (path.amax(0) + path.amin(0)) / 2).norm(dim=-1)
        return bool(distance[-1] < distance[0]) == inwards

    return fits


def seen(camera: torch.Tensor) -> torch.Tensor:
    """Where the world point that begins at the frame's centre is seen (T,2); `camera` (T,2,3) about that centre."""
    return camera[..., 2]


def pans(direction: str, fast: bool, parts: int = 8):
    """The picture shifts so, by more or less than .45 of the extent; `extent` is that of the camera's builder."""

    def fits(camera, extent):
        path = seen(camera)
        far = path[(path - path[0]).norm(dim=-1).argmax()] - path[0]
        sector = DIRECTIONS.index(direction) * parts // 8
        return _octant(far, parts) == sector and bool(far.norm() > 0.45 * extent) == fast

    return fits


def heads_off(direction: str):
    """The picture shifts so, within an eighth of a turn, until it is furthest from where it began."""
    return lambda camera, extent: pans(direction, True, 4)(camera, 0.0)


def zooms(inwards: bool, fast: bool | None = None):
    """Things grow, or shrink; to more or less than 1.6 times."""

    def fits(camera, extent):
        log = torch.linalg.det(camera[..., :2]).log() / 2
        far = log[(log - log[0]).abs().argmax()] - log[0]
        return bool(far > 0) == inwards and (fast is None or bool(far.abs() > math.log(1.6)) == fast)

    return fits


def rolls(clockwise: bool, fast: bool | None = None):
    """The picture turns that way; by more or less than .65 radians."""

    def fits(camera, extent):
        angle = torch.atan2(camera[:, 1, 0] - camera[:, 0, 1], camera[:, 0, 0] + camera[:, 1, 1])
        far = angle[(angle - angle[0]).abs().argmax()] - angle[0]
        return bool(far < 0) == clockwise and (fast is None or bool(far.abs() > 0.65) == fast)

    return fits


def shakes(strong: bool):
    def fits(camera, extent):
        path = seen(camera)
        return bool((path - path.mean(0)).norm(dim=-1).mean() > 0.045 * extent) == strong

    return fits


def both(*predicates):
    return lambda *drawn: all(fits(*drawn) for fits in predicates)


HIP, HANDS, FEET = 1, (3, 5), (7, 9)  # bones of a figure, left before right


def walks(right: bool):
    return lambda bones: bool(bones[-1, HIP, 0, 1] > bones[0, HIP, 0, 1]) == right


def uses(limbs: tuple[int, int], right: bool):
    """The right (or left) one of two limbs moves more about the figure's hip."""

    def fits(bones):
        ends = bones[:, list(limbs), 1] - bones[:, HIP, 0][:, None]
        left, right_one = (ends.amax(0) - ends.amin(0)).norm(dim=-1)
        return bool(right_one > left) == right

    return fits


def lifts(right: bool):
    """The right (or left) hand is the higher one, all in all."""
    return lambda bones: bool(bones[:, HANDS[1], 1, 0].mean() < bones[:, HANDS[0], 1, 0].mean()) == right


def rises(high: bool):
    """The hip rises by more, or less, than .28 of a leg and a torso."""

    def fits(bones):
        height = bones[..., 0].amax() - bones[..., 0].amin()
        hip = bones[:, HIP, 0, 0]
        return bool((hip.amax() - hip.amin()) / height > 0.19) == high

    return fits
