"""Where the thing of a clip is: its pixels, and the path of its centre."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..errors import check_choice
from .components import areas, drop_small
from .palette import THINGS, as_frames, ground_colour, ground_distance, thing_distances

SPECK = 0.001  # of the frame's area: smaller areas are noise


def object_mask(frames, colour: str | None = None) -> np.ndarray:
    """Pixels that are nearer to the colour of a thing than to any shade of the clip's ground.

    The mask is smoothed by a 3x3 median and areas below a thousandth of the frame are dropped, so that the noise of a
    VAE or of sampling leaves no specks.

    Args:
        frames: (T,H,W,3) float 0..1, tensor or array.
        colour: only things of this colour; None for things of any.
    Returns:
        (T,H,W) bool.
    Raises:
        InputError: frames of another form, or a colour that no thing has.
    """
    frames = as_frames(frames)
    if colour is not None:
        check_choice("colour", colour, THINGS)
    ground = ground_colour(frames)
    things = thing_distances(frames)
    mask = np.ones(frames.shape[:3], bool) if ground is None else things.min(-1) < ground_distance(frames, ground)
    if colour is not None:
        mask &= things.argmin(-1) == THINGS.index(colour)
    mask = np.stack([cv2.medianBlur(frame.astype(np.uint8), 3) for frame in mask]).astype(bool)
    return drop_small(mask, SPECK * mask[0].size)


def object_track(frames, colour: str | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Path of the centre of a clip's thing: the centroid of the largest connected area of each frame.

    Args: as of `object_mask`.
    Returns:
        track_px (T,2) float32 (row, col); visible (T,) bool. Where nothing is visible the path is interpolated between
        its neighbours (the frame's centre if nothing is ever visible), so it never holds NaN.
    """
    return mask_track(object_mask(frames, colour))


def mask_track(mask: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """`object_track` of a mask (T,H,W) that is already there."""
    num_frames, height, width = mask.shape
    track, visible = np.empty((num_frames, 2)), np.zeros(num_frames, bool)
    for t, frame in enumerate(mask):
        _, sizes, centroids = areas(frame)
        if len(sizes):
            track[t], visible[t] = centroids[sizes.argmax()], True
    seen = np.flatnonzero(visible)
    for axis, middle in enumerate(((height - 1) / 2, (width - 1) / 2)):
        track[:, axis] = np.interp(np.arange(num_frames), seen, track[seen, axis]) if len(seen) else middle
    return torch.from_numpy(track).float(), torch.from_numpy(visible)
