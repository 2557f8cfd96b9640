"""How a clip holds together in time, and how clips of several seeds differ. No truth and no learned weights needed."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ..errors import InputError
from .palette import as_frames, as_pictures

RETURN_PX = 1.0  # a pixel whose way there and back ends further away was hidden


def flicker(frames) -> float | None:
    """Mean absolute difference of neighbouring frames (T,H,W,3) float 0..1; 0 is still. None for a single frame.

    It says something about scenes that stand still; where things move, `warp_error` is meant. VBench's temporal
    flickering (arXiv 2311.17982) is 1 minus it.
    """
    frames = as_frames(frames)
    return float(np.abs(np.diff(frames, axis=0)).mean()) if len(frames) > 1 else None


def warp_error(frames, on_step: Callable[[], None] | None = None) -> float | None:
    """Mean absolute difference of each frame to the one before it, moved by their optical flow; hidden pixels left out.

    What remains is flicker and melting, whatever moves. The flow is DIS (arXiv 1603.03590). None for a single frame,
    or where all is hidden. on_step: called after each step from one frame to the next; what it raises ends it.
    """
    frames = as_frames(frames)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in as_pictures(frames)]
    errors = []
    for t in range(len(frames) - 1):
        backward, forward = _flow(grey[t + 1], grey[t]), _flow(grey[t], grey[t + 1])
        warped, returned = _sample(frames[t], backward), _sample(forward, backward)
        seen = np.linalg.norm(backward + returned, axis=-1) <= RETURN_PX
        if seen.any():
            errors.append(float(np.abs(frames[t + 1] - warped)[seen].mean()))
        if on_step:
            on_step()
    return float(np.mean(errors)) if errors else None


def diversity(clips) -> float:
    """Standard deviation over clips of one prompt and several seeds, averaged over the pixels: 0 to about .7.

    The variance is the unbiased one, so that more seeds do not seem more diverse.

    clips: two or more of one form (T,H,W,3), float 0..1. Guidance that gives all seeds the same picture shows here.
    """
    clips = [as_frames(clip) for clip in clips]
    if len(clips) < 2 or len({clip.shape for clip in clips}) > 1:
        raise InputError(
            f"{len(clips)} clips of {len({clip.shape for clip in clips})} forms were given; two or more of one form "
            "are needed. Sample the prompt with several seeds."
        )
    stacked = np.stack(clips)
    return float(stacked.std(0, ddof=1).mean())


def _flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(H,W,2) of (x, y)."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, None)


def _sample(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(
        picture, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
