"""Which named colour a pixel is nearest to: the colours of things, and the shades that a textured ground takes."""

from __future__ import annotations

import numpy as np
import torch

from ..demo.vocabulary import COLOURS, GROUNDS
from ..errors import InputError

THINGS, GROUND_NAMES = tuple(COLOURS), tuple(GROUNDS)
_THING_RGB = np.array(list(COLOURS.values()), np.float32) / 255
_GROUND_RGB = np.array(list(GROUNDS.values()), np.float32) / 255
# A ground of colour g is drawn as g + shade * (0.6 g + 0.16) with shade within -0.21..0.38 (see synthetic/render.py and
# ground.py; a test holds this file to it). A little more is allowed, since decoded video overshoots.
_SHADE_DIRECTION = 0.6 * _GROUND_RGB + 0.16
_SHADES = (-0.30, 0.47)


def as_frames(frames) -> np.ndarray:
    """Frames (T,H,W,3), tensor or array, as float32 numpy in 0..1: the given ones, not to be written into, if they are
    that already.

    Raises:
        InputError: another number of axes or channels, no frames, or values that are not finite.
    """
    if isinstance(frames, torch.Tensor):
        frames = frames.detach().cpu().float().numpy()
    frames = np.asarray(frames, np.float32)
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise InputError(
            f"Frames of shape {frames.shape} were given; (T,H,W,3) is needed. Take one clip, channels last."
        )
    low, high = frames.min(), frames.max()  # NaN if one is
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(
            "The frames hold NaN or infinite values; only finite ones can be measured. Decode the clip again."
        )
    # A view with gaps is copied too, so that sums are taken in the order of memory and round alike.
    is_dense = frames.strides == np.empty_like(frames).strides
    return frames if 0 <= low and high <= 1 and is_dense else frames.clip(0, 1)


def as_pictures(frames: np.ndarray) -> list[np.ndarray]:
    """Frames of `as_frames` as uint8 0..255, each by itself: floats of a whole clip would take four times as much."""
    return [(frame * 255).round().astype(np.uint8) for frame in frames]


def shade(frames: np.ndarray, ground: str) -> np.ndarray:
    """Where pixels (...,3) lie along the shades of that ground: (...) float32, 0 at the colour itself."""
    index = GROUND_NAMES.index(ground)
    direction = _SHADE_DIRECTION[index]
    return (frames - _GROUND_RGB[index]) @ direction / float(direction @ direction)


def thing_distances(frames: np.ndarray) -> np.ndarray:
    """RGB distance of pixels (...,3) to each colour of things: (...,7)."""
    squares = (frames * frames).sum(-1)[..., None] - 2 * frames @ _THING_RGB.T + (_THING_RGB**2).sum(-1)
    return np.sqrt(squares.clip(0))


def ground_distance(frames: np.ndarray, ground: str) -> np.ndarray:
    """RGB distance of pixels (...,3) to the nearest shade of that ground: (...)."""
    index = GROUND_NAMES.index(ground)
    along = shade(frames, ground).clip(*_SHADES)[..., None]
    return np.linalg.norm(frames - _GROUND_RGB[index] - along * _SHADE_DIRECTION[index], axis=-1)


def ground_colour(frames: np.ndarray, where: np.ndarray | None = None, every: int = 3) -> str | None:
    """The ground that most pixels are nearest to; pixels nearer to a thing's colour don't vote.

    frames (T,H,W,3); where: (T,H,W) bool, the pixels that vote, all if None; every: the stride in rows and columns.
    None where no pixel may vote.
    """
    pixels = frames[:, ::every, ::every].reshape(-1, 3)
    if where is not None:
        pixels = pixels[where[:, ::every, ::every].reshape(-1)]
    distances = np.stack([ground_distance(pixels, name) for name in GROUND_NAMES], -1)
    voters = distances.min(-1) < thing_distances(pixels).min(-1)
    if not voters.any():
        return None
    return GROUND_NAMES[np.bincount(distances[voters].argmin(-1), minlength=len(GROUND_NAMES)).argmax()]
