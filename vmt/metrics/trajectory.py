"""How alike two paths are. All of them are (T,2) pixels (row, col), tensor or array, of equal length.

Every figure is a finite number, or None where it is undefined: a path that stands still has no direction. Callers count
the Nones. Definitions: "centred trajectory correlation" and its companions as this project's reports use them.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError

STILL_PX = 0.5  # a path that stays this close to its mean (RMS) stands still: centroids of generated things are noisy
MOVING_SHARE = 1 / 256  # of the frame's short side per frame: slower steps count as standing (0.5 px of 128)
JUMP = 3.0  # times the median step
SHORT_SIDE = 128


def centred_correlation(track_a, track_b, visible=None) -> float | None:
    """Pearson correlation of two paths, rows and columns jointly, means removed: -1..1.

    corr = sum <a - mean a, b - mean b> / (|a - mean a| |b - mean b|)

    Blind to where the paths lie and to how large they are. visible: (T,) bool, the frames that count, all if None.
    None where either path stands still (within half a pixel RMS of its mean) or fewer than two frames count.
    """
    a, b = _pair(track_a, track_b, visible)
    return joint_correlation(a, b) if len(a) >= 2 else None


def joint_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """`centred_correlation` of two paths (T,D) in any number of coordinates that are all in pixels."""
    if min(spread_px(a), spread_px(b)) < STILL_PX:
        return None
    a, b = a - a.mean(0), b - b.mean(0)
    return float(np.clip((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()), -1, 1))


def spread_px(path) -> float:
    """How far a path (T,D), T >= 1, keeps from its mean, RMS over its frames: 0 where it stands still."""
    path = np.asarray(path, np.float64)
    return float(np.sqrt(((path - path.mean(0)) ** 2).sum(-1).mean()))


def wrong_way_rate(track_ref, track_out, visible=None, short_side: int = SHORT_SIDE) -> float | None:
    """Share of the steps in which both move, and more than a right angle apart: 0..1.

    A step moves from short_side / 256 pixels on. None where no step moves in both; `no_move_rate` then tells why.
    """
    ref, out = _steps(track_ref, track_out, visible)
    both = _moving(ref, short_side) & _moving(out, short_side)
    return float(((ref * out).sum(-1)[both] < 0).mean()) if both.any() else None


def no_move_rate(track_ref, track_out, visible=None, short_side: int = SHORT_SIDE) -> float | None:
    """Share of the reference's moving steps in which the output stands: 0..1. None where the reference never moves."""
    ref, out = _steps(track_ref, track_out, visible)
    moving = _moving(ref, short_side)
    return float((~_moving(out, short_side))[moving].mean()) if moving.any() else None


def endpoint_error(track_ref, track_out, visible=None) -> float | None:
    """Mean length of the difference of their steps, pixels per frame. None where no step is visible in both."""
    ref, out = _steps(track_ref, track_out, visible)
    return float(np.linalg.norm(out - ref, axis=-1).mean()) if len(ref) else None


def path_distance(track_ref, track_out, visible=None) -> float | None:
    """Mean distance of the two places, pixels, with the mean place of each path taken away first."""
    ref, out = _pair(track_ref, track_out, visible)
    if not len(ref):
        return None
    ref, out = ref - ref.mean(0), out - out.mean(0)
    return float(np.linalg.norm(out - ref, axis=-1).mean())


def speed_ratio(track_ref, track_out, visible=None, short_side: int = SHORT_SIDE) -> float | None:
    """Median speed of the output over that of the reference, in steps in which the reference moves; None if in none."""
    ref, out = _steps(track_ref, track_out, visible)
    moving = _moving(ref, short_side)
    if not moving.any():
        return None
    return float(np.median(np.linalg.norm(out[moving], axis=-1)) / np.median(np.linalg.norm(ref[moving], axis=-1)))


def has_jump(track, visible=None) -> bool:
    """Whether a step is longer than three times the median step; steps below half a pixel count as half a pixel.

    Over frames where nothing is visible the step is shared out evenly.
    """
    longest = longest_step(track, visible)
    return longest is not None and longest > JUMP


def longest_step(track, visible=None) -> float | None:
    """The longest step in median steps, each counted as in `has_jump`; None if fewer than two frames are visible."""
    track = _path(track)
    seen = np.flatnonzero(_visible(visible, len(track)))
    if len(seen) < 2:
        return None
    step = np.linalg.norm(np.diff(track[seen], axis=0), axis=-1) / np.diff(seen)
    step = np.maximum(step, 0.5)
    return float(step.max() / np.median(step))


def _path(track) -> np.ndarray:
    track = np.asarray(track, np.float64)
    if track.ndim != 2 or track.shape[1] != 2:
        raise InputError(
            f"A path of shape {track.shape} was given; (T,2) of row and column is needed. Take one thing's path."
        )
    if not np.isfinite(track).all():
        raise InputError(
            "A path holds NaN or infinite values; give finite places, and say in `visible` which ones count."
        )
    return track


def _visible(visible, length: int) -> np.ndarray:
    visible = np.ones(length, bool) if visible is None else np.asarray(visible, bool)
    if visible.shape != (length,):
        raise InputError(f"`visible` has shape {visible.shape}, the path {length} frames; give one flag per frame.")
    return visible


def _pair(track_a, track_b, visible) -> tuple[np.ndarray, np.ndarray]:
    a, b = _path(track_a), _path(track_b)
    if len(a) != len(b):
        raise InputError(
            f"Paths of {len(a)} and {len(b)} frames were given; equal lengths are needed. Cut the longer one."
        )
    seen = _visible(visible, len(a))
    return a[seen], b[seen]


def _steps(track_a, track_b, visible) -> tuple[np.ndarray, np.ndarray]:
    """Steps between consecutive frames that both count."""
    a, b = _pair(track_a, track_b, None)
    seen = _visible(visible, len(a))
    both = seen[1:] & seen[:-1]
    return np.diff(a, axis=0)[both], np.diff(b, axis=0)[both]


def _moving(steps: np.ndarray, short_side: int) -> np.ndarray:
    return np.linalg.norm(steps, axis=-1) >= MOVING_SHARE * short_side
