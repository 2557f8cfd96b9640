"""A picture of how a result moves beside its reference: the tracks of both, over the result's frames."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from .motion_report import TRAIL, MotionReport
from .palette import as_frames
from .tracks import Tracks

REFERENCE, OUTPUT = (255, 150, 40), (60, 210, 255)  # RGB of the trails
SHORT_SIDE = 384  # pixels a small frame is enlarged to
MOST_TRAILS = 150  # of a clip
LEGEND = 28  # pixels


def draw_tracks(report: MotionReport, output) -> torch.Tensor:
    """The result's frames (T,H,W,3), darkened, with the way of each point that moves since it was last set out.

    Orange: the reference; blue: the result. Where they lie beside each other the motion came over.

    Returns:
        (T,H',W',3) float32 0..1, enlarged where the frames are small.
    """
    frames = as_frames(output)
    scale = max(1, round(SHORT_SIDE / min(frames.shape[1:3])))
    trails = [(REFERENCE, report.reference_tracks), (OUTPUT, report.output_tracks)]
    chosen = [_moving_points(tracks) for _, tracks in trails]
    pictures, legend = [], _legend(frames.shape[2] * scale)
    for t, frame in enumerate(frames):
        canvas = _dimmed(frame, scale)
        for (colour, tracks), points in zip(trails, chosen, strict=True):
            _draw_trails(canvas, tracks, points, t, scale, colour)
        pictures.append(np.concatenate([canvas, legend]))
    return torch.from_numpy(np.stack(pictures).astype(np.float32) / 255)


def draw_field(frames, tracks: Tracks) -> np.ndarray:
    """Where the points of the middle run go, as arrows over the frame it starts from.

    Args:
        frames: (T,H,W,3) float 0..1; tracks: theirs, or others of the same grid to draw over them.
    Returns:
        (H',W',3) uint8, enlarged where the frames are small.
    """
    frames, (runs, _, length) = as_frames(frames), tracks.visible.shape
    scale = max(1, round(SHORT_SIDE / min(frames.shape[1:3])))
    if not runs:
        return _dimmed(frames[0], scale)
    run = (runs - 1) // 2  # not the last of several, which may be shorter
    first = run * (length - 1)
    last = min(length - 1, len(frames) - 1 - first)
    canvas = _dimmed(frames[first], scale)
    ways = tracks.points_px[run]
    for n in np.flatnonzero(tracks.visible[run, :, last]):
        start, end = (tuple(map(int, np.round((ways[n, i, ::-1] + 0.5) * scale))) for i in (0, last))
        cv2.arrowedLine(canvas, start, end, OUTPUT, 1, cv2.LINE_AA, tipLength=0.25)
    return canvas


def _dimmed(frame: np.ndarray, scale: int) -> np.ndarray:
    canvas = cv2.resize((frame * 255).astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    return (canvas * 0.6).astype(np.uint8)


def _moving_points(tracks) -> np.ndarray:
    """For each run, (R,N) bool: the points that move while they can be followed, thinned out evenly."""
    moved = (np.linalg.norm(tracks.steps, axis=-1) * tracks.moving).sum(2)
    chosen = np.zeros(moved.shape, bool)
    for way, some in zip(moved, chosen, strict=True):
        points = np.flatnonzero(way > max(1.0, 0.1 * way.max()))
        some[points[:: max(1, -(-len(points) // MOST_TRAILS))]] = True
    return chosen


def _draw_trails(canvas, tracks, chosen, t: int, scale: int, colour) -> None:
    run = max(0, t - 1) // TRAIL  # the last frame of a run is the first of the next: it shows the whole way
    step = t - run * TRAIL
    for n in np.flatnonzero(chosen[run] & tracks.visible[run, :, step]):
        trail = tracks.points_px[run, n, : step + 1, ::-1]
        trail = np.round((trail + 0.5) * scale * 8).astype(np.int32)  # in eighths of a pixel
        cv2.polylines(canvas, [trail[:, None]], False, colour, 1, cv2.LINE_AA, shift=3)
        cv2.circle(canvas, tuple(map(int, trail[-1])), 12, colour, -1, cv2.LINE_AA, shift=3)


def _legend(width: int) -> np.ndarray:
    strip = np.zeros((LEGEND, width, 3), np.uint8)
    for x, text, colour in ((8, "reference", REFERENCE), (110, "result", OUTPUT)):
        cv2.putText(strip, text, (x, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    return strip
