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

TURNS = 8  # directions that the chance level is averaged over, evenly spread and none of them the right one
STILL = 1e-6  # pixels
CHUNK = 512  # tracks compared at a time


def motion_fidelity_as_coded(reference: Tracks, output: Tracks) -> dict[str, float | None]:
    """The score, -1..1, and what the same output scores against the reference turned by chance.

    Args:
        reference, output: tracks of one run from the first frame to the last (`follow_grid(frames, run=None)`).
    Returns:
        "motion_fidelity_as_coded", and "motion_fidelity_chance": its mean over the reference turned by 22.5, 67.5 ...
        337.5 degrees: a clip whose motion has nothing to do with the reference's reaches it. None where nothing moves.
    """
    for tracks in (reference, output):
        if len(tracks.points_px) != 1:
            raise InputError(
                f"Tracks in {len(tracks.points_px)} runs were given; motion fidelity needs one over the whole clip. "
                "Follow the grid with run=None."
            )
    length = min(tracks.steps.shape[2] for tracks in (reference, output))
    a, b = (_directions(tracks, length) for tracks in (reference, output))
    if not len(a) or not len(b):
        return {"motion_fidelity_as_coded": None, "motion_fidelity_chance": None}
    score, *turned = _both_ways(a, b, [0.0, *(2 * np.pi * (n + 0.5) / TURNS for n in range(TURNS))])
    return {"motion_fidelity_as_coded": score, "motion_fidelity_chance": float(np.mean(turned))}


def _directions(tracks: Tracks, length: int) -> np.ndarray:
    """Unit steps (N,length,2); zero where the track is lost or stands still; tracks that never move are left out."""
    steps, known = tracks.steps[0, :, :length], tracks.known[0, :, :length]
    norm = np.linalg.norm(steps, axis=-1, keepdims=True)
    units = np.where(known[..., None] & (norm > STILL), steps / np.maximum(norm, STILL), 0).astype(np.float32)
    return units[(units != 0).any((1, 2))]


def _both_ways(a: np.ndarray, b: np.ndarray, turns: list[float]) -> list[float]:
    """The score of a turned by each of so many radians: mean over tracks of either of the best mean cosine with a track
    of the other, over the steps in which both move.

    The cosine of two turned steps is cos * <a, b> + sin * (a x b), so that tracks are compared once for all turns.
    """
    flat_b, moves_b = b.reshape(len(b), -1), (b != 0).any(-1).astype(np.float32)
    best_a: list[list[np.ndarray]] = [[] for _ in turns]
    best_b = np.full((len(turns), len(b)), -1, np.float32)
    for start in range(0, len(a), CHUNK):
        part = a[start : start + CHUNK]
        shared = (part != 0).any(-1).astype(np.float32) @ moves_b.T
        along = part.reshape(len(part), -1) @ flat_b.T / np.maximum(shared, 1)
        across = (
            (part[..., ::-1] * (-1, 1)).astype(np.float32).reshape(len(part), -1) @ flat_b.T / np.maximum(shared, 1)
        )
        for number, turn in enumerate(turns):
            cosine = np.where(shared > 0, np.float32(np.cos(turn)) * along + np.float32(np.sin(turn)) * across, -1)
            best_a[number].append(cosine.max(1))
            best_b[number] = np.maximum(best_b[number], cosine.max(0))
    return [float(0.5 * (np.concatenate(of_a).mean() + of_b.mean())) for of_a, of_b in zip(best_a, best_b, strict=True)]
