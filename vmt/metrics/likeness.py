"""How much one clip looks like another, frame by frame: what leaks from a reference besides its motion."""

from __future__ import annotations

import cv2
import numpy as np

from ..errors import InputError
from .palette import as_frames

THUMBNAIL = (9, 16)  # rows, columns
SSIM_WINDOW, SSIM_C1, SSIM_C2 = 1.5, 0.01**2, 0.03**2  # of the Gaussian, pixels; constants for values 0..1
EVEN = 1e-4  # a picture that varies less than this correlates with nothing

Likeness = dict[str, float | None]  # of `likeness`


def likeness(a, b) -> Likeness:
    """Mean over the frames of three measures of two clips (T,H,W,3) float 0..1 of equal size; 1 where they are equal.

    Returns:
        "ssim" of the grey frames (Wang et al. 2004); "layout": Pearson correlation of 16x9 colour thumbnails; "edges":
        of the gradients' magnitudes. None where every frame of a clip is even, so that it correlates with nothing.
    Raises:
        InputError: clips of different form.
    """
    a, b = as_frames(a), as_frames(b)
    if a.shape != b.shape:
        raise InputError(
            f"Clips of {_describe(a)} and {_describe(b)} were given; equal lengths and sizes are needed. Resize or cut "
            "one first."
        )
    grey = [[cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip] for clip in (a, b)]
    return {
        "ssim": float(np.mean([_ssim(x, y) for x, y in zip(*grey, strict=True)])),
        "layout": _mean([_pearson(_thumbnail(x), _thumbnail(y)) for x, y in zip(a, b, strict=True)]),
        "edges": _mean([_pearson(_gradient(x), _gradient(y)) for x, y in zip(*grey, strict=True)]),
    }


def leakage_of(
    output: Likeness, unguided: Likeness, perfect: Likeness | None = None, followed: float = 1.0
) -> dict[str, float | None]:
    """How much more an output looks like its reference than it would if its motion alone came over.

    A thing that goes where the reference's goes makes layout and edges alike, whatever it looks like. So where a
    perfect transfer can be drawn, likeness counts from what the motion that came over lets expect: that of the unguided
    output where none did, that of the perfect transfer where all did, and between them in proportion. Both have no
    leakage so. Without it likeness counts from the unguided output; a part of the figure is then the place of things.

    Args:
        output, unguided, perfect: `likeness` of each to the reference; unguided is of the same prompt and seed, perfect
            what the prompt names, moving just as the reference moves.
        followed: how far the output is on the way from the unguided motion to the perfect one, 0..1.
    Returns:
        "leakage_ssim", "leakage_layout", "leakage_edges": differences of `likeness`, about 0 where nothing leaks;
        "leakage": their mean. None where undefined.
    """
    perfect = unguided if perfect is None else perfect
    figures = {
        f"leakage_{name}": _beyond(value, unguided[name], perfect[name], followed) for name, value in output.items()
    }
    return {**figures, "leakage": _mean(list(figures.values()))}


def _beyond(value: float | None, floor: float | None, ceiling: float | None, followed: float) -> float | None:
    return None if None in (value, floor, ceiling) else value - floor - followed * (ceiling - floor)


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    def blur(picture):
        return cv2.GaussianBlur(picture, (11, 11), SSIM_WINDOW, borderType=cv2.BORDER_REFLECT)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    return float((luminance * (2 * both + SSIM_C2) / (var_a + var_b + SSIM_C2)).mean())


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)


def _gradient(grey: np.ndarray) -> np.ndarray:
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


def _pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    a, b = a - a.mean((0, 1)), b - b.mean((0, 1))
    if min(a.std(), b.std()) < EVEN:
        return None
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _describe(clip: np.ndarray) -> str:
    return f"{clip.shape[0]} frames of {clip.shape[1]}x{clip.shape[2]}"
