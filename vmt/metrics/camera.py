"""The camera's motion: per frame a shift, a zoom and a roll, from tracks or from a known affine.

All four are in pixels: zoom and roll count as what they move at half the short side from the frame's centre, so that
one figure can weigh them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import InputError
from .tracks import Tracks
from .trajectory import joint_correlation

LEAST_POINTS = 8  # of a frame, for a fit
FIT_PX = 1.0  # a point this close to where the fitted camera puts it belongs to the ground; on a short side to 480
CELLS, LEAST_CELLS = 4, 10  # so many of 4x4 cells must hold points of the ground: else it may be a thing alone
PARAMETERS = ("down", "right", "zoom", "roll")


@dataclass(frozen=True)
class CameraMotion:
    """steps (T-1,4) float64 pixels per frame of `PARAMETERS`; known (T-1,) bool; size (height, width)."""

    steps: np.ndarray
    known: np.ndarray
    size: tuple[int, int]

    def affine(self, t: int) -> np.ndarray:
        """The map (2,3) of (row, col) pixels from frame t to t+1."""
        return _affine(self.steps[t], self.size)


def fit_camera(tracks: Tracks) -> CameraMotion:
    """The camera that explains most points (RANSAC), for tracks whose runs are one step long.

    A frame is not known where too few points can be followed, fewer than a third of them agree, or those that agree lie
    together in one part of the frame, as they do where one thing moves over an even ground.
    """
    if tracks.points_px.shape[2] != 2:
        raise InputError(
            f"Tracks in runs of {tracks.points_px.shape[2] - 1} steps were given; the camera is fitted to runs of one. "
            "Follow the grid with run=1."
        )
    num_steps = len(tracks.points_px)
    steps, known = np.zeros((num_steps, 4)), np.zeros(num_steps, bool)
    for t in range(num_steps):
        seen = tracks.known[t, :, 0]
        if seen.sum() < LEAST_POINTS:
            continue
        before, after = (tracks.points_px[t, seen, i, ::-1].astype(np.float64) for i in (0, 1))
        cv2.setRNGSeed(0)
        threshold = FIT_PX * max(1.0, min(tracks.size) / 480)
        fit, agree = cv2.estimateAffinePartial2D(
            before, after, method=cv2.RANSAC, ransacReprojThreshold=threshold, maxIters=500, confidence=0.999
        )
        if fit is None or agree.mean() < 1 / 3 or _cells(before[agree[:, 0] > 0, ::-1], tracks.size) < LEAST_CELLS:
            continue
        swapped = np.array([[fit[1, 1], fit[1, 0], fit[1, 2]], [fit[0, 1], fit[0, 0], fit[0, 2]]])  # x, y to row, col
        steps[t], known[t] = _parameters(swapped, tracks.size), True
    return CameraMotion(steps, known, tracks.size)


def camera_of_affines(camera, size: tuple[int, int]) -> CameraMotion:
    """The same of known world-to-pixel affines (T,2,3) of (row, col), as the procedural scenes have them."""
    camera = np.asarray(camera, np.float64)
    whole = np.concatenate([camera, np.tile([[[0.0, 0.0, 1.0]]], (len(camera), 1, 1))], 1)
    relative = whole[1:] @ np.linalg.inv(whole[:-1])
    steps = np.array([_parameters(affine[:2], size) for affine in relative]).reshape(-1, 4)
    return CameraMotion(steps, np.ones(len(steps), bool), tuple(size))


def camera_correlation(reference: CameraMotion, output: CameraMotion) -> float | None:
    """Pearson correlation of the two cameras' paths, all four parameters jointly, means removed: -1..1.

    None where a camera stands still (within half a pixel RMS of its mean) or fewer than half of the steps are known.
    """
    known = _both_known(reference, output)
    if known.mean() < 0.5:
        return None
    a, b = (np.cumsum(np.where(known[:, None], camera.steps, 0), 0) for camera in (reference, output))
    a, b = (np.concatenate([np.zeros((1, 4)), path]) for path in (a, b))
    return joint_correlation(a, b)


def camera_error(reference: CameraMotion, output: CameraMotion) -> dict[str, float | None]:
    """Mean absolute difference of each parameter, pixels per frame, over steps known in both; None where none is."""
    known = _both_known(reference, output)
    error = np.abs(output.steps - reference.steps)[known]
    return {f"camera_{name}_px": float(error[:, i].mean()) if len(error) else None for i, name in enumerate(PARAMETERS)}


def without_camera(tracks: Tracks, camera: CameraMotion) -> Tracks:
    """Tracks in runs of one step, with the camera's share of every step taken away; as they are where it is not
    known."""
    points = tracks.points_px.copy()
    for t in np.flatnonzero(camera.known):
        affine = camera.affine(t)
        start = points[t, :, 0]
        points[t, :, 1] -= start @ affine[:, :2].T + affine[:, 2] - start
    return Tracks(points, tracks.visible, tracks.size)


def _cells(points: np.ndarray, size: tuple[int, int]) -> int:
    """How many cells of the frame hold one of the points (M,2)."""
    cells = (points / np.array(size) * CELLS).astype(int).clip(0, CELLS - 1)
    return len(np.unique(cells, axis=0))


def _both_known(reference: CameraMotion, output: CameraMotion) -> np.ndarray:
    if len(reference.steps) != len(output.steps) or not len(output.steps):
        raise InputError(
            f"Cameras of {len(reference.steps)} and {len(output.steps)} steps were given; equal numbers from 1 on are "
            "needed. Cut the longer clip."
        )
    return reference.known & output.known


def _parameters(affine: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Of a map (2,3) of (row, col) that is a similarity: what it does about the frame's centre."""
    centre, reach = (np.array(size) - 1) / 2, min(size) / 2
    linear = affine[:, :2]
    shift = linear @ centre + affine[:, 2] - centre
    zoom = 0.5 * np.log(max(np.linalg.det(linear), 1e-12))
    roll = np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
    return np.array([*shift, reach * zoom, reach * roll])


def _affine(parameters: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    centre, reach = (np.array(size) - 1) / 2, min(size) / 2
    scale, angle = np.exp(parameters[2] / reach), parameters[3] / reach
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.concatenate([linear, (centre + parameters[:2] - linear @ centre)[:, None]], 1)
