"""Clips whose every pixel's motion is known: one texture moved by an affine, and a patch that moves by itself."""

import cv2
import numpy as np

SIZE = (72, 96)


def texture(seed=0, side=260):
    noise = np.random.default_rng(seed).random((side, side, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return (0.5 + 0.2 * (smooth - smooth.mean()) / smooth.std()).clip(0, 1).astype(np.float32)


def moved(affines, seed=0, size=SIZE):
    """A texture seen by a camera: affines (T,2,3) map (row, col) of its middle `size` to pixels."""
    picture = texture(seed)
    margin = [(side - short) // 2 for side, short in zip(picture.shape[:2], size, strict=True)]
    frames = []
    for affine in np.asarray(affines, np.float64):
        linear = affine[::-1, 1::-1]  # (x, y)
        shift = affine[::-1, 2] - linear @ np.array(margin[::-1])
        flags = cv2.INTER_CUBIC
        frames.append(
            cv2.warpAffine(picture, np.c_[linear, shift], size[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
        )
    return np.stack(frames).clip(0, 1)


def pan(down, right, num_frames=9):
    """Affines of a camera under which the picture shifts by so many pixels a frame."""
    t = np.arange(num_frames)
    affines = np.tile(np.eye(2, 3), (num_frames, 1, 1))
    affines[:, :, 2] = np.stack([down * t, right * t], -1)
    return affines


def about_centre(zoom=0.0, roll=0.0, num_frames=9, size=SIZE):
    """Affines that zoom by exp(zoom) and roll by so many radians a frame."""
    affines, centre = [], (np.array(size) - 1) / 2
    for t in range(num_frames):
        cos, sin = np.exp(zoom * t) * np.cos(roll * t), np.exp(zoom * t) * np.sin(roll * t)
        linear = np.array([[cos, -sin], [sin, cos]])
        affines.append(np.c_[linear, centre - linear @ centre])
    return np.array(affines)


def with_patch(frames, start, step, side=28, seed=9):
    """A textured square laid over the frames at start + t * step (row, col), in whole pixels."""
    frames, patch = frames.copy(), texture(seed)[:side, :side]
    for t in range(len(frames)):
        row, column = (round(a + t * b) for a, b in zip(start, step, strict=True))
        frames[t, row : row + side, column : column + side] = patch
    return frames
