"""What the demo claims of its two videos, in numbers. Made for drawn clips with one thing in them."""

from __future__ import annotations

import re

import torch

from ..metrics.appearance import judge_colour
from ..metrics.centroid import object_mask, object_track
from ..metrics.trajectory import centred_correlation
from .vocabulary import COLOURS


def path_correlation(reference: torch.Tensor, video: torch.Tensor) -> float | None:
    """Centred correlation of the two things' paths, -1..1; None where one of them stands still or is not seen.

    reference, video: frames (T,H,W,3), float 0..1, of any two sizes; the longer one is cut.
    """
    length = min(len(reference), len(video))
    (first, seen), (second, also_seen) = object_track(reference[:length]), object_track(video[:length])
    value = centred_correlation(first, second, seen & also_seen)
    return None if value is None else round(value, 4)


def named_colour(prompt: str) -> str | None:
    """The first word of the prompt that is the colour of a thing."""
    return next((word for word in re.findall("[a-z]+", prompt.lower()) if word in COLOURS), None)


def colour_is_right(prompt: str, video: torch.Tensor) -> bool | None:
    """Whether the thing has the colour that the prompt names; None where it names none."""
    named = named_colour(prompt)
    return None if named is None else judge_colour(video, object_mask(video)) == named
