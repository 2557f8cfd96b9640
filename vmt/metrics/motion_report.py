"""What an artist wants to know of one result: whether it moves as its reference does, and what else came over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .camera import CameraMotion, camera_correlation, camera_error, fit_camera, without_camera
from .likeness import leakage_of, likeness
from .located import located_correlation, located_errors
from .motion_fidelity import motion_fidelity_as_coded
from .moving_region import moving_centre
from .palette import as_frames
from .steadiness import flicker, warp_error
from .tracks import Tracks, follow_grid
from .trajectory import centred_correlation

LEAST_FRAMES = 2
PASSES = 4  # over a clip: three sets of tracks and the warp error
TRAIL = 8  # steps after which the points that are drawn are set out again
# More alike than without guidance by the first is seen by eye; a thing that goes where the reference's goes alone makes
# it up to the second (seven drawn single objects of the bench: .01 to .32).
ALIKE, LEAKS = 0.1, 0.3
WELL_FOLLOWED = 0.5  # of the reference's moving points: with fewer, the result has little there that holds together
FLICKERS = 1.5  # times the reference's warp error
CLIP_WORDS = {"clip_frame_consistency": "neighbouring frames alike", "clip_text_alignment": "prompt shown"}


@dataclass(frozen=True)
class MotionReport:
    """figures: name -> number, or None where it is undefined; tracks in runs of `TRAIL` steps, to draw."""

    figures: dict[str, float | None]
    reference_tracks: Tracks
    output_tracks: Tracks


@dataclass(frozen=True)
class ClipMotion:
    """What is measured of one clip by itself, so that a reference is measured once for all its results."""

    frames: np.ndarray
    field: Tracks  # in runs of one step
    camera: CameraMotion
    objects: Tracks  # the field without the camera
    whole: Tracks  # in one run
    trails: Tracks  # in runs of `TRAIL` steps
    warp_error: float | None

    @classmethod
    def of(cls, frames, on_step: Callable[[], None] | None = None) -> ClipMotion:
        """frames: (T,H,W,3) float 0..1. on_step: called after each of the T-1 steps of each of the `PASSES`; what it
        raises ends the measuring. Raises InputError for a single frame."""
        frames = as_frames(frames)
        if len(frames) < LEAST_FRAMES:
            raise InputError(f"A clip has {len(frames)} frame; motion needs {LEAST_FRAMES}. Connect a video's frames.")
        field, whole, trails = (follow_grid(frames, run, on_step) for run in (1, None, TRAIL))
        camera = fit_camera(field)
        return cls(frames, field, camera, without_camera(field, camera), whole, trails, warp_error(frames, on_step))


def report_motion(reference, output, unguided=None, on_step: Callable[[], None] | None = None) -> MotionReport:
    """Compare a result with the clip whose motion it was to take.

    Args:
        reference, output: (T,H,W,3) float 0..1 of one form, T >= 2; the reference may be a `ClipMotion`. unguided: the
            same prompt and seed without guidance, which tells leakage from what the prompt itself shares with the
            reference. on_step: as in `ClipMotion.of`, for each clip of the two that is measured here.
    Raises:
        InputError: clips of other lengths or sizes, or of one frame.
    """
    measured = isinstance(reference, ClipMotion)
    clips = {"reference": reference.frames if measured else as_frames(reference), "output": as_frames(output)}
    if unguided is not None:
        clips["unguided"] = as_frames(unguided)
    _check(clips)
    theirs = reference if measured else ClipMotion.of(clips["reference"], on_step)
    mine = ClipMotion.of(clips["output"], on_step)
    alike = likeness(mine.frames, theirs.frames)
    figures: dict[str, float | None] = {
        **located_correlation(theirs.field, mine.field),
        **located_errors(theirs.field, mine.field),
        "centred_correlation": _path_correlation(theirs.objects, mine.objects),
        "camera_correlation": _camera_correlation(theirs.camera, mine.camera),
        **camera_error(theirs.camera, mine.camera),
        **{f"object_{name}": value for name, value in located_correlation(theirs.objects, mine.objects).items()},
        **{f"likeness_{name}": value for name, value in alike.items()},
        **({} if unguided is None else leakage_of(alike, likeness(clips["unguided"], theirs.frames))),
        "flicker": flicker(mine.frames),
        "warp_error": mine.warp_error,
        "warp_error_reference": theirs.warp_error,
        **motion_fidelity_as_coded(theirs.whole, mine.whole),
    }
    return MotionReport(figures, theirs.trails, mine.trails)


def in_words(figures: dict[str, float | None]) -> str:
    """A few lines that say what the figures mean."""
    parts = (_motion, _trust, _speed, _camera, _leak, _steadiness, _clip)
    lines = [part(figures) for part in parts]
    return "\n".join(line for line in lines if line)


def _path_correlation(reference: Tracks, output: Tracks) -> float | None:
    """0 where the reference has a path and the output none."""
    (a, seen_a), (b, seen_b) = moving_centre(reference), moving_centre(output)
    found = centred_correlation(a, b, seen_a & seen_b)
    return 0.0 if found is None and centred_correlation(a, a, seen_a) is not None else found


def _camera_correlation(reference, output) -> float | None:
    """Likewise."""
    found = camera_correlation(reference, output)
    return 0.0 if found is None and camera_correlation(reference, reference) is not None else found


def _motion(figures) -> str:
    here, path = figures["located_correlation"], figures["centred_correlation"]
    if here is None and path is None:
        return "Motion: nothing that could be followed moves in the reference."
    shown = [f"at the same places {here:+.2f}"] if here is not None else []
    shown += [f"path of what moves {path:+.2f}"] if path is not None else []
    told = [value for value in (here, path) if value is not None]
    best = max(told)
    if best >= 0.8 and (here is None or here < 0.5):
        words = "takes the reference's path, at another place or another size"
    elif best >= 0.8:
        words = "follows the reference closely"
    elif best >= 0.5:
        words = "follows the reference in part"
    elif best >= 0.2:
        words = "hardly follows the reference"
    elif min(told) <= -0.2:
        words = "moves against the reference"
    else:
        words = "does not follow the reference"
    return f"Motion: the result {words} ({', '.join(shown)}; 1 is equal, 0 unrelated, -1 opposite)."


def _trust(figures) -> str:
    if figures["located_correlation"] is None or figures["followed"] >= WELL_FOLLOWED:
        return ""
    share = 100 * figures["followed"]
    return (
        f"Of what moves in the reference {share:.0f} % can be followed in the result; the rest melts or is even there."
    )


def _speed(figures) -> str:
    ratio = figures["speed_ratio"]
    if ratio is None:
        return "Speed: the reference does not move."
    return f"Speed: {100 * ratio:.0f} % of the reference's where the reference moves."


def _camera(figures) -> str:
    correlation = figures["camera_correlation"]
    if correlation is None:
        return "Camera: the reference's stands still, or cannot be told."
    return f"Camera: path {correlation:+.2f} alike."


def _leak(figures) -> str:
    if "leakage" not in figures:
        return "Look: connect the result without guidance to learn how much of the reference's look came over."
    if figures["leakage"] is None:
        return "Look: the pictures are too even to compare."
    words = "little of the reference's look comes over"
    if figures["leakage"] > LEAKS:
        words = "the reference's look leaks in"
    elif figures["leakage"] > ALIKE:
        words = "more like the reference; things in its places alone may do that"
    return f"Look: {words} ({figures['leakage']:+.2f} against the result without guidance)."


def _steadiness(figures) -> str:
    mine, theirs = figures["warp_error"], figures["warp_error_reference"]
    if mine is None or theirs is None:
        return ""
    words = (
        "flickers or melts more than the reference"
        if mine > FLICKERS * theirs + 0.005
        else "as steady as the reference"
    )
    return f"Steadiness: {words} (warp error {mine:.3f} against {theirs:.3f})."


def _clip(figures) -> str:
    if "clip_frame_consistency" not in figures:
        return "Prompt: connect a CLIP vision model and the text to learn how well the result shows it."
    shown = [f"{words} {figures[name]:.3f}" for name, words in CLIP_WORDS.items() if figures[name] is not None]
    return f"CLIP: {', '.join(shown)} (1 is equal; compare with results of the same CLIP only)."


def _check(clips: dict[str, np.ndarray]) -> None:
    forms = ", ".join(f"{name} {len(c)} frames of {c.shape[2]}x{c.shape[1]}" for name, c in clips.items())
    if len({clip.shape for clip in clips.values()}) > 1:
        raise InputError(
            f"The clips differ: {forms}. Equal lengths and sizes are needed. Cut the longer one (ImageFromBatch) or "
            "resize one (Upscale Image)."
        )
