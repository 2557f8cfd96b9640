"""Motion fidelity as commonly coded, so that numbers of other papers can be placed. Not a measure to steer by.

DMT (arXiv 2311.17009, section 4.1) defines it and its code is what others copied: the direction of each step of each
track, compared with the best fitting track anywhere in the other clip. Length, place and the way of small things do not
count, two unrelated clips that each move one way everywhere score 1, and the level that chance reaches depends on the
clip's length. What is mended here: a track that stands still no longer makes the whole score NaN, a clip against itself
scores 1, both directions count, and a track that is lost is left out from there on.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .tracks import Tracks

TURNS = 8  # directions that the chance level is averaged over
STILL = 1e-6  # pixels
CHUNK = 512  # tracks compared at a time


def motion_fidelity_as_coded(reference: Tracks, output: Tracks) -> dict[str, float | None]:
    """The score, -1..1, and what the same output scores against the reference turned by chance.

    Args:
        reference, output: tracks of one run from the first frame to the last (`follow_grid(frames, run=None)`).
    Returns:
        "motion_fidelity_as_coded", and "motion_fidelity_chance": its mean over the reference turned by 45, 90 ... 315
        degrees: a clip whose motion has nothing to do with the reference's reaches it. None where nothing moves.
    """
    for tracks in (reference, output):
        if len(tracks.points_px) != 1:
            raise InputError(
                f"Tracks in {len(tracks.points_px)} runs were given; motion fidelity needs one over the whole clip. "
                "Follow the grid with run=None."
            )
    length = min(tracks.steps.shape[2] for tracks in (reference, output))
    a, b = (_directions(tracks, length) for tracks in (reference, output))
    turned = []
    for n in range(1, TURNS):
        cos, sin = np.cos(2 * np.pi * n / TURNS), np.sin(2 * np.pi * n / TURNS)
        turned.append(_both_ways(a @ np.array([[cos, sin], [-sin, cos]], np.float32), b))
    score = _both_ways(a, b)
    return {
        "motion_fidelity_as_coded": score,
        "motion_fidelity_chance": None if score is None else float(np.mean(turned)),
    }


def _directions(tracks: Tracks, length: int) -> np.ndarray:
    """Unit steps (N,length,2); zero where the track is lost or stands still; tracks that never move are left out."""
    steps, known = tracks.steps[0, :, :length], tracks.known[0, :, :length]
    norm = np.linalg.norm(steps, axis=-1, keepdims=True)
    units = np.where(known[..., None] & (norm > STILL), steps / np.maximum(norm, STILL), 0).astype(np.float32)
    return units[(units != 0).any((1, 2))]


def _both_ways(a: np.ndarray, b: np.ndarray) -> float | None:
    if not len(a) or not len(b):
        return None
    return 0.5 * (_best_mean(a, b) + _best_mean(b, a))


def _best_mean(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over tracks of a of the best mean cosine with a track of b, over the steps in which both move."""
    flat_b, moves_b, best = b.reshape(len(b), -1), (b != 0).any(-1).astype(np.float32), []
    for start in range(0, len(a), CHUNK):
        part = a[start : start + CHUNK]
        shared = (part != 0).any(-1).astype(np.float32) @ moves_b.T
        cosine = part.reshape(len(part), -1) @ flat_b.T
        best.append(np.where(shared > 0, cosine / np.maximum(shared, 1), -1).max(1))
    return float(np.concatenate(best).mean())
