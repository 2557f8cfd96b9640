"""What the demo claims of its two videos, in numbers."""

from __future__ import annotations

import math
import re

import torch

from ..metrics.centroid import object_track
from ..metrics.trajectory import centred_correlation
from . import vocabulary


def path_correlation(reference: torch.Tensor, video: torch.Tensor) -> float | None:
    """Centred correlation of the two objects' paths; None where one of them stands still or is not found.

    reference, video: frames (T,H,W,3), float 0..1; the longer one is cut.
    """
    length = min(len(reference), len(video))
    (first, seen), (second, also_seen) = object_track(reference[:length]), object_track(video[:length])
    both = seen & also_seen
    if both.sum() < 2:
        return None
    value = float(centred_correlation(first[both], second[both]))
    return round(value, 4) if math.isfinite(value) else None


def named_colour(prompt: str) -> str | None:
    """The first word of the prompt that the demo model knows as a thing's colour."""
    return next((word for word in re.findall("[a-z]+", prompt.lower()) if word in vocabulary.COLOURS), None)
