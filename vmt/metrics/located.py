"""Whether things move alike at the same place and time, measured on tracks of the same grid in both clips.

Every figure is finite, or None where it is undefined: callers count the Nones. A result in which nothing can be
followed where the reference moves, such as an even picture, has not followed it.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .tracks import Tracks


def located_correlation(reference: Tracks, output: Tracks) -> dict[str, float | None]:
    """Correlation of the velocities at the same points, -1..1, in which length counts.

    2 sum <v_out, v_ref> / (sum |v_out|^2 + sum |v_ref|^2)

    Where the reference moves and the output cannot be followed, the output counts as standing: what has melted has not
    moved.

    Returns:
        "where_reference_moves": whether it moves where it should; "where_output_moves": whether it moves only there;
        "located_correlation": their mean. Half the speed gives .8, a clip that stands still 0, the opposite motion -1.
    """
    _same_grid(reference, output)
    figures = {
        "where_reference_moves": _likeness(reference.steps, _followed(output), reference.moving),
        "where_output_moves": _likeness(reference.steps, output.steps, reference.known & output.moving),
    }
    defined = [value for value in figures.values() if value is not None]
    return {**figures, "located_correlation": sum(defined) / len(defined) if defined else None}


def located_errors(reference: Tracks, output: Tracks) -> dict[str, float | None]:
    """Distances and shares over the same points.

    Returns:
        "epe_px": mean length of the difference of the velocities, pixels per frame, over the steps known in both and,
        as in `located_correlation`, where the reference moves; "epe_relative": that over the mean speed of the
        reference there, 1 for a clip that stands still; "wrong_way": share of the steps moving in both that are more
        than a right angle apart; "no_move": share of the reference's moving steps known in both in which the output
        stands; "speed_ratio": median speed of the output over that of the reference, in the same steps; "followed":
        share of the reference's moving steps that can be followed in the output too (of all its steps where it never
        moves): how much the others are told from.
    """
    _same_grid(reference, output)
    a, b, known = reference.steps, _followed(output), reference.known & output.known
    moving, both, counted = known & reference.moving, reference.moving & output.moving, known | reference.moving
    epe = float(np.linalg.norm(b - a, axis=-1)[counted].mean()) if counted.any() else None
    speeds = [np.linalg.norm(steps, axis=-1) for steps in (a, b)]
    asked = reference.moving if reference.moving.any() else reference.known
    if moving.any():
        no_move = float((~output.moving)[moving].mean())
        ratio = float(np.median(speeds[1][moving]) / np.median(speeds[0][moving]))
    else:
        no_move, ratio = (1.0, 0.0) if reference.moving.any() else (None, None)
    return {
        "epe_px": epe,
        "epe_relative": epe / float(speeds[0][counted].mean()) if reference.moving.any() else None,
        "wrong_way": float(((a * b).sum(-1)[both] < 0).mean()) if both.any() else None,
        "no_move": no_move,
        "speed_ratio": ratio,
        "followed": float(output.known[asked].mean()) if asked.any() else 0.0,
    }


def _followed(tracks: Tracks) -> np.ndarray:
    """Its steps, 0 where they are not known."""
    return np.where(tracks.known[..., None], tracks.steps, 0)


def _likeness(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float | None:
    if not where.any():
        return None
    a, b = a[where].astype(np.float64), b[where].astype(np.float64)
    return float(2 * (a * b).sum() / ((a * a).sum() + (b * b).sum()))


def _same_grid(reference: Tracks, output: Tracks) -> None:
    if reference.size != output.size or reference.points_px.shape != output.points_px.shape:
        raise InputError(
            f"Tracks of {_describe(reference)} and of {_describe(output)} were given; located figures need equal "
            "sizes and lengths. Resize or cut one clip first."
        )


def _describe(tracks: Tracks) -> str:
    runs, _, frames = tracks.points_px.shape[:3]
    return f"{tracks.size[0]}x{tracks.size[1]} frames in {runs} runs of {frames}"
