"""Where the moving part of any clip is: a path that can be compared although other things move elsewhere."""

from __future__ import annotations

import numpy as np

from .tracks import Tracks

LEAST_SHARE = 0.002  # of the grid's points: fewer moving ones are noise


def moving_centre(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Path of the centre of what moves, each point weighted by its speed.

    Args:
        tracks: in runs of one step; take the camera's motion out first, or its ground is what moves.
    Returns:
        path (T-1,2) float64 (row, col), where each step begins; seen (T-1,) bool, whether anything moves there. Where
        nothing does, the path stays at the middle of the frame.
    """
    speed = np.linalg.norm(tracks.steps[:, :, 0], axis=-1) * tracks.moving[:, :, 0]
    seen = tracks.moving[:, :, 0].sum(1) >= max(2, LEAST_SHARE * speed.shape[1])
    path = np.tile((np.array(tracks.size) - 1) / 2.0, (len(speed), 1))
    weights = speed[seen, :, None].astype(np.float64)
    path[seen] = (weights * tracks.points_px[seen, :, 0]).sum(1) / np.maximum(weights.sum(1), 1e-9)
    return path, seen
