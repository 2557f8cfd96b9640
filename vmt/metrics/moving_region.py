"""Where the moving part of any clip is: a path that can be compared although other things move elsewhere."""

from __future__ import annotations

import numpy as np

from .tracks import Tracks, grid_shape

LEAST_SHARE = 0.005  # of the grid's points: fewer moving ones are noise
LEAST_NEIGHBOURS = 3  # of 8, as at the corners of a thing
ALIKE = 0.5  # steps of neighbours differ by no more than this part of their length


def moving_centre(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Path of the centre of what moves, each point weighted by its speed.

    A point that moves otherwise than those around it was tracked badly, as many are where a camera's motion was taken
    out: it does not count.

    Args:
        tracks: in runs of one step; take the camera's motion out first, or its ground is what moves.
    Returns:
        path (T-1,2) float64 (row, col), where each step begins; seen (T-1,) bool, whether anything moves there. Where
        nothing does, the path stays at the middle of the frame.
    """
    moving = _moving_together(tracks)
    speed = np.linalg.norm(tracks.steps[:, :, 0], axis=-1) * moving
    seen = moving.sum(1) >= max(2, LEAST_SHARE * speed.shape[1])
    path = np.tile((np.array(tracks.size) - 1) / 2.0, (len(speed), 1))
    weights = speed[seen, :, None].astype(np.float64)
    path[seen] = (weights * tracks.points_px[seen, :, 0]).sum(1) / np.maximum(weights.sum(1), 1e-9)
    return path, seen


def _moving_together(tracks: Tracks) -> np.ndarray:
    """(T-1,N) bool: points that move as at least `LEAST_NEIGHBOURS` of those around them in the grid do."""
    rows, columns = grid_shape(tracks.size)
    steps = tracks.steps[:, :, 0].reshape(-1, rows, columns, 2)
    moving = tracks.moving[:, :, 0].reshape(-1, rows, columns)
    around, moves = (np.pad(a, [(0, 0), (1, 1), (1, 1), (0, 0)][: a.ndim]) for a in (steps, moving))
    farthest = ALIKE * np.linalg.norm(steps, axis=-1)
    alike = np.zeros(moving.shape, int)
    for row, column in np.ndindex(3, 3):
        where = np.s_[:, row : row + rows, column : column + columns]
        alike += moves[where] & (np.linalg.norm(around[where] - steps, axis=-1) <= farthest)
    return (moving & (alike > LEAST_NEIGHBOURS)).reshape(len(moving), -1)  # each is alike itself
