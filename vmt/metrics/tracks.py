"""Points followed through any clip by pyramidal Lucas-Kanade, forwards and back. No learned weights.

A grid of points is set out in one frame, followed for a few frames, and set out again. Followed for one frame at a time
they measure velocity at fixed places; followed from the first frame to the last they are the tracks of other papers.
A point whose surroundings are flat, that is not found back where it came from, or that leaves the frame is invisible.
Legend: R runs, N points of the grid, L frames of a run, T frames of the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import InputError
from .palette import as_frames, as_pictures

GRID = 55  # points of the longer side, as in the motion-fidelity code of DMT (arXiv 2311.17009)
LEAST_SPACING = 4  # pixels: on small frames fewer points, which would only repeat each other
WINDOW = 15  # pixels of the square that is looked for, 21 from FULL_SIZE on
FULL_SIZE = 256  # short side
FLAT = 1e-4  # least eigenvalue of a square's gradient matrix: below it, where the square went cannot be told
RETURN_PX = 1.0  # a point that comes back further from where it began is lost
MOVING_PX = 0.25  # steps below this are noise, on a short side of up to 480; more on larger frames


@dataclass(frozen=True)
class Tracks:
    """Where the points of a grid go.

    points_px (R,N,L,2) float32 (row, col); visible (R,N,L) bool, from the first frame of a run on without gaps;
    size (height, width) of the frames.
    """

    points_px: np.ndarray
    visible: np.ndarray
    size: tuple[int, int]

    @property
    def steps(self) -> np.ndarray:
        """(R,N,L-1,2) pixels per frame."""
        return np.diff(self.points_px, axis=2)

    @property
    def known(self) -> np.ndarray:
        """(R,N,L-1) bool: steps of which both ends are visible."""
        return self.visible[:, :, 1:] & self.visible[:, :, :-1]

    @property
    def moving(self) -> np.ndarray:
        """(R,N,L-1) bool: known steps that are longer than noise."""
        least = MOVING_PX * max(1.0, min(self.size) / 480)
        return self.known & (np.linalg.norm(self.steps, axis=-1) >= least)


def grid_shape(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the points of a (height, width) frame."""
    spacing = max(LEAST_SPACING, max(size) / GRID)
    return int(size[0] // spacing), int(size[1] // spacing)


def grid_points(size: tuple[int, int]) -> np.ndarray:
    """Points (N,2) (row, col) spread evenly over a (height, width) frame, none on its border, row by row."""
    shape = grid_shape(size)
    axes = [(np.arange(count) + 0.5) * side / count - 0.5 for side, count in zip(size, shape, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)


def follow_grid(frames, run: int | None = 1, on_step: Callable[[], None] | None = None) -> Tracks:
    """Follow the grid through a clip.

    Args:
        frames: (T,H,W,3) float 0..1, tensor or array, T >= 1 and no side below 16.
        run: steps after which the grid is set out again; None follows it from the first frame to the last. The last
            run may be shorter; what it lacks is invisible.
        on_step: called after each step from one frame to the next; what it raises ends the following.
    Returns:
        Tracks of ceil((T-1)/run) runs; none for a single frame.
    Raises:
        InputError: frames of another form, too small ones, or a run below 1.
    """
    frames = as_frames(frames)
    num_frames, *size = frames.shape[:3]
    run = max(1, num_frames - 1) if run is None else run
    if min(size) < 16 or run < 1:
        raise InputError(
            f"Frames of {size[0]}x{size[1]} and runs of {run} steps were given; 16x16 and 1 are the least. Enlarge the "
            "clip or lengthen the runs."
        )
    pictures, start = as_pictures(frames), grid_points(size)
    runs = range(0, num_frames - 1, run)
    points = np.tile(start[None, :, None], (len(runs), 1, run + 1, 1))
    visible = np.zeros(points.shape[:3], bool)
    visible[:, :, 0] = True
    for r, first in enumerate(runs):
        for step in range(min(run, num_frames - 1 - first)):
            here, seen = points[r, :, step], visible[r, :, step]
            there, found = _follow(pictures[first + step], pictures[first + step + 1], here[seen])
            points[r, :, step + 1 :] = here[:, None]
            points[r, seen, step + 1 :] = there[:, None]
            visible[r, seen, step + 1] = found
            if on_step:
                on_step()
    return Tracks(points, visible, tuple(size))


def _follow(before: np.ndarray, after: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (M,2) of one picture in the next: places (M,2) and whether they can be trusted (M,)."""
    if not len(points):
        return points, np.zeros(0, bool)
    height, width = before.shape[:2]
    side = WINDOW if min(height, width) < FULL_SIZE else 21
    options = {"winSize": (side, side), "maxLevel": 3, "minEigThreshold": FLAT}
    start = np.ascontiguousarray(points[:, None, ::-1])  # OpenCV has x before y
    there, forth, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **options)
    again, back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **options)
    found = (forth[:, 0] > 0) & (back[:, 0] > 0) & (np.linalg.norm(again - start, axis=-1)[:, 0] <= RETURN_PX)
    there = there[:, 0, ::-1]
    inside = ((there >= 0) & (there <= (height - 1, width - 1))).all(-1)
    return there, found & inside
