"""One result of a case held against what is known of its reference and asked for by its prompt.

Every figure is a number, or None where it is undefined for the case (a camera has no path of a thing, a thing that
stands still no direction). Bools count as shares.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import InputError
from ..metrics.appearance import judge_colour, judge_ground, judge_shape
from ..metrics.camera import camera_correlation, camera_error, camera_of_affines, fit_camera, without_camera
from ..metrics.centroid import mask_track, object_mask
from ..metrics.components import areas
from ..metrics.likeness import Likeness, leakage_of, likeness
from ..metrics.located import located_correlation, located_errors
from ..metrics.motion_fidelity import motion_fidelity_as_coded
from ..metrics.steadiness import flicker, warp_error
from ..metrics.tracks import Tracks, follow_grid
from ..metrics.trajectory import STILL_PX, centred_correlation, speed_ratio, spread_px, wrong_way_rate
from ..metrics.true_tracks import true_tracks
from ..synthetic.render import Clip
from ..synthetic.scene import Scene
from .case import Figures

Track = tuple[torch.Tensor, torch.Tensor]  # of `mask_track`

if TYPE_CHECKING:
    from .cases import BenchCase

ERROR_PX, ERROR_SHARE = 0.5, 0.25  # of a step: a tracker further off than both is wrong
LAST_CLIPS = 2  # what is measured of a reference is kept for all methods of its case
LAST_RESULTS = 3 * LAST_CLIPS  # likewise; of a case: without guidance, the perfect one, and the one that is judged
# A figure's limbs are thin: as they come and go in a mask, its centre moves by a pixel or two. One whose centre stays
# this close to its mean (RMS) goes nowhere: what it does is told where it does it.
FIGURE_STILL_PX = 3.0
TOGETHER_PX = 12.0  # mean places of a reference's things: nearer ones do not tell which is meant
LEAST_APART = 0.1  # correlations of a perfect and an unguided result: closer, nobody can tell what came over
SEEN_SHARE = 0.8  # of the frames in which a thing must be seen: to count as drawn, or to go the reference's way


def judge(
    case: BenchCase, clip: Clip, output: torch.Tensor, unguided: torch.Tensor | None = None, shows: Scene | None = None
) -> Figures:
    """All figures of one result.

    Args:
        clip: the rendered reference. output: (T,H,W,3) float 0..1. unguided: the same prompt and seed without guidance;
            None leaves leakage undefined. shows: whose words are to be seen; the prompt's if None.
    Raises:
        InputError: the output has another form than the reference.
    """
    if output.shape != clip.frames.shape:
        raise InputError(
            f"The result is {tuple(output.shape)}, its reference {tuple(clip.frames.shape)}; frames and size must be "
            "equal. Let the method make what the reference shows."
        )
    shows = shows or case.prompt
    return {
        **paths(case, clip, shows, output),
        **_tracks(clip, output),
        **_appearance(shows, output),
        **(dict.fromkeys(("leakage", "likeness_gain")) if unguided is None else _leakage(case, clip, output, unguided)),
        "flicker": flicker(output),
        "warp_error": warp_error(output),
    }


def _leakage(case: BenchCase, clip: Clip, output: torch.Tensor, unguided: torch.Tensor) -> Figures:
    """Of the look, and likeness over the unguided result, in which the place of things has its part."""
    results = output, unguided, _perfect(case)
    mine, floor, ceiling = (_located(clip, frames)["located_correlation"] for frames in results)
    alike = [_likeness(clip, frames) for frames in results]
    figures = {"leakage": None, "likeness_gain": leakage_of(*alike[:2])["leakage"]}
    if None not in (mine, floor, ceiling):
        share = min(1.0, max(0.0, (mine - floor) / max(ceiling - floor, LEAST_APART)))
        figures["leakage"] = leakage_of(*alike, share)["leakage"]
    return figures


@lru_cache(LAST_CLIPS)
def _perfect(case: BenchCase) -> torch.Tensor:
    return case.perfect_transfer()


def _tracks(clip: Clip, output: torch.Tensor) -> Figures:
    """Motion at the same places, the camera's, and what is left without it; the reference's side is the truth."""
    truth, seen = measurable_tracks(clip), followed(output)
    cameras = camera_of_affines(clip.camera, truth.size), fit_camera(seen)
    objects = [without_camera(tracks, camera) for tracks, camera in zip((truth, seen), cameras, strict=True)]
    alone = located_correlation(*objects)["located_correlation"] if objects[0].moving.any() else None
    return {
        **_located(clip, output),
        **located_errors(truth, seen),
        "object_located_correlation": alone,
        "camera_correlation": (camera_correlation(*cameras) or 0.0) if clip.camera_moves else None,
        **camera_error(*cameras),
        **motion_fidelity_as_coded(_followed_whole(clip), follow_grid(output, run=None)),
    }


@lru_cache(LAST_RESULTS)
def followed(frames: torch.Tensor) -> Tracks:
    """`follow_grid`, kept for the frames that every method of a case is held against."""
    return follow_grid(frames)


@lru_cache(LAST_RESULTS)
def _located(clip: Clip, frames: torch.Tensor) -> Figures:
    """`located_correlation` with the clip, kept likewise."""
    return located_correlation(measurable_tracks(clip), followed(frames))


@lru_cache(LAST_RESULTS)
def _likeness(clip: Clip, frames: torch.Tensor) -> Likeness:
    """`likeness` to the clip, kept likewise."""
    return likeness(frames, clip.frames)


@lru_cache(LAST_CLIPS)
def _followed_whole(clip: Clip) -> Tracks:
    return follow_grid(clip.frames, run=None)


@lru_cache(LAST_CLIPS)
def measurable_tracks(clip: Clip) -> Tracks:
    """The true tracks of a drawn scene, without the points that a tracker gets wrong on the clip itself.

    In an even area or along an edge nothing can be followed: what a tracker says there of a result is not the result's
    fault.
    """
    truth, tracked = true_tracks(clip), follow_grid(clip.frames)
    error = np.linalg.norm(tracked.steps - truth.steps, axis=-1)
    allowed = np.maximum(ERROR_PX, ERROR_SHARE * np.linalg.norm(truth.steps, axis=-1))
    right = tracked.known & (error <= allowed)
    visible = truth.visible.copy()
    visible[:, :, 1:] &= right
    return Tracks(truth.points_px, visible, truth.size)


def paths(case: BenchCase, clip: Clip, shows: Scene, output: torch.Tensor) -> Figures:
    """How the centres of the prompt's things go, against those of the reference's.

    Of several, each is held against the one whose mean place is nearest, all in all: choosing the best correlation
    instead would let chance look like success. Where the reference's mean places are too near one another to tell (what
    turns about one another), it is the one that is nearest frame by frame. A result whose thing stands still or is seen
    in too few frames has the correlation 0: it has not failed less than one that moves at random.
    """
    names = ("centred_correlation", "path_wrong_way", "path_speed_ratio")
    if case.category == "camera":
        return dict.fromkeys(names)
    theirs = [mask_track((mask > 0.5).numpy()) for mask in clip.masks]
    mine = [mask_track(mask) for mask in _masks(shows, output)]
    means = torch.stack([path.mean(0) for path, _ in theirs])
    frame_by_frame = len(theirs) > 1 and float(torch.pdist(means).min()) < TOGETHER_PX

    def apart(a: Track, b: Track) -> float:
        return float((a[0] - b[0]).norm(dim=-1).mean() if frame_by_frame else (a[0].mean(0) - b[0].mean(0)).norm())

    order = min(permutations(theirs), key=lambda order: sum(apart(a, b) for a, b in zip(order, mine, strict=True)))
    still = FIGURE_STILL_PX if case.reference.figure else STILL_PX
    scores = [_path(a, b, still) for a, b in zip(order, mine, strict=True)]
    return {name: _mean([score[i] for score in scores]) for i, name in enumerate(names)}


def _path(theirs: Track, mine: Track, still_px: float) -> tuple[float | None, float | None, float | None]:
    (reference, shown), (track, visible) = theirs, mine
    way = reference[shown]
    if len(way) < 2 or spread_px(way) < still_px:
        return None, None, None
    if float(visible[shown].float().mean()) < SEEN_SHARE:
        return 0.0, None, None
    visible = visible & shown
    correlation = centred_correlation(reference, track, visible)
    return (
        0.0 if correlation is None else correlation,
        wrong_way_rate(reference, track, visible),
        speed_ratio(reference, track, visible),
    )


def _masks(prompt: Scene, output: torch.Tensor) -> list[np.ndarray]:
    """Of each thing that the prompt names; told apart by colour where there are several."""
    colours = [thing.colour for thing in prompt.objects]
    return [_mask(output, colour) for colour in colours] if len(colours) > 1 else [_mask(output)]


@lru_cache(LAST_RESULTS)
def _mask(frames: torch.Tensor, colour: str | None = None) -> np.ndarray:
    """`object_mask`, kept: a result's path and its look both ask for it."""
    return object_mask(frames, colour)


def _appearance(prompt: Scene, output: torch.Tensor) -> Figures:
    """Whether the words of the prompt are to be seen; None where it has no such word."""
    everything = _mask(output)
    ground, texture = judge_ground(output, everything)
    figures: Figures = {
        "object_present": None,
        "colour_right": None,
        "shape_right": None,
        "ground_right": ground == prompt.ground.colour,
        "texture_right": texture == prompt.ground.texture,
        "things_right": None,
    }
    named = len(prompt.objects) + (prompt.figure is not None)
    if named:
        masks = _masks(prompt, output)
        figures["object_present"] = float(np.logical_and.reduce([mask.any((1, 2)) for mask in masks]).mean())
        if named == 1:
            colour = prompt.figure.colour if prompt.figure else prompt.objects[0].colour
            figures["colour_right"] = judge_colour(output, masks[0]) == colour
        else:
            figures["colour_right"] = all(mask.any((1, 2)).mean() >= SEEN_SHARE for mask in masks)
        if prompt.objects:
            figures["shape_right"] = all(
                judge_shape(output, mask) == thing.shape for mask, thing in zip(masks, prompt.objects, strict=True)
            )
        if not prompt.figure:  # a figure's limbs may hang apart in a mask
            whole = [all(len(areas(part)[1]) == 1 for part in frame) for frame in zip(*masks, strict=True)]
            figures["things_right"] = float(np.mean(whole))
    return figures


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
