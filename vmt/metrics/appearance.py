"""What a clip of the demo's world shows: colour and shape of its thing, colour and texture of its ground."""

from __future__ import annotations

import cv2
import numpy as np

from ..demo.vocabulary import SHAPES
from .outline import outline_of
from .palette import THINGS, as_frames, ground_colour, shade, thing_distances
from .texture import texture_of


def judge_colour(frames, mask: np.ndarray) -> str | None:
    """The colour that most of the masked pixels, without the thing's rim, are nearest to; None if there are none.

    frames (T,H,W,3) float 0..1; mask (T,H,W) bool of the thing.
    """
    frames = as_frames(frames)
    inner = _eroded(mask, 1)
    inner = inner if inner.any() else mask
    if not inner.any():
        return None
    votes = thing_distances(frames[inner]).argmin(-1)
    return THINGS[np.bincount(votes, minlength=len(THINGS)).argmax()]


def judge_ground(frames, mask: np.ndarray) -> tuple[str | None, str | None]:
    """Colour word and texture word of what is not the thing; (None, None) where the things hide it all.

    frames (T,H,W,3) float 0..1; mask (T,H,W) bool of the things.
    """
    frames = as_frames(frames)
    outside = ~_dilated(mask, 4)
    colour = ground_colour(frames, outside)
    return (None, None) if colour is None else (colour, texture_of(shade(frames, colour), outside))


def judge_shape(frames, mask: np.ndarray) -> str | None:
    """The outline that the largest masked area has in most frames; None if no frame shows enough of one.

    frames are not looked at: they are here so that all judges are called alike. mask (T,H,W) bool of the thing.
    """
    votes = [vote for vote in map(outline_of, np.asarray(mask, bool)) if vote is not None]
    return max(SHAPES, key=votes.count) if votes else None


def _eroded(mask: np.ndarray, pixels: int) -> np.ndarray:
    return np.stack([cv2.erode(m.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=pixels) for m in mask]) > 0


def _dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    return np.stack([cv2.dilate(m.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=pixels) for m in mask]) > 0
