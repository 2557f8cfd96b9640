"""Held-out prompts and motion-transfer cases for judging the demo model, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import torch

from ..errors import InputError
from ..metrics.trajectory import (
    centred_correlation,
    endpoint_error,
    no_move_rate,
    path_distance,
    speed_ratio,
    wrong_way_rate,
)
from ..synthetic.motions import OBJECT_MOTIONS
from ..synthetic.sample import is_held_out, sample_scene
from ..synthetic.scene import Scene
from .judgement import judge_sample

MOTIONS = tuple(name for name in OBJECT_MOTIONS if name != "still")


@dataclass(frozen=True)
class TransferCase:
    """The motion of `reference` is to appear on what `prompt.caption` names; `prompt`'s own motion means nothing."""

    reference: Scene
    prompt: Scene
    seed: int


def held_out_prompts(num: int, seed: int = 0) -> list[Scene]:
    """Single-thing scenes whose colour, shape and ground never occurred together in training; use their `caption`."""
    return [_prompt(Random(f"prompt {seed} {i}")) for i in range(num)]


def transfer_cases(num: int, seed: int = 0) -> list[TransferCase]:
    """Held-out cases of one moving thing each.

    The reference is a held-out scene whose motion goes round all of them in turn; the prompt is a held-out
    combination of another colour, another shape and another ground colour.
    """
    cases = []
    for i in range(num):
        rng = Random(f"transfer {seed} {i}")
        reference = _reference(rng, MOTIONS[i % len(MOTIONS)])
        prompt = _prompt(rng, unlike=reference)
        cases.append(TransferCase(reference, prompt, rng.randrange(1 << 31)))
    return cases


def _words(scene: Scene) -> tuple[str, str, str]:
    return scene.objects[0].colour, scene.objects[0].shape, scene.ground.colour


def _prompt(rng: Random, unlike: Scene | None = None) -> Scene:
    while True:
        scene = sample_scene(rng, "single", held_out=True)
        other = unlike is None or all(a != b for a, b in zip(_words(scene), _words(unlike), strict=True))
        if other and is_held_out(*_words(scene)):
            return scene


def _reference(rng: Random, motion: str) -> Scene:
    while True:
        scene = sample_scene(rng, "single", held_out=True)
        if scene.objects[0].motion == motion:
            return scene


def score_transfer(reference_track: torch.Tensor, frames: torch.Tensor, prompt: Scene) -> dict:
    """How well a clip (T,H,W,3) follows a path (T,2), and whether it shows what its prompt names.

    `correlation` is the centred one; it is 0 where the clip's thing stands still or is not seen in two frames, and
    `still` then says so: a clip that does not move has not failed less than one that moves at random. Distances are in
    pixels, speeds in pixels per frame; None where undefined.

    Raises:
        InputError: the clip and the path differ in length.
    """
    if len(frames) != len(reference_track):
        raise InputError(
            f"The reference's path has {len(reference_track)} frames, the clip {len(frames)}; equal lengths are "
            "needed. Sample as many frames as the reference has."
        )
    judged = judge_sample(prompt, frames)
    track, visible = judged.track_px, judged.visible
    short_side = min(frames.shape[1:3])
    correlation = centred_correlation(reference_track, track, visible)
    return {
        "correlation": 0.0 if correlation is None else correlation,
        "still": correlation is None,
        "wrong_way": wrong_way_rate(reference_track, track, visible, short_side),
        "no_move": no_move_rate(reference_track, track, visible, short_side),
        "endpoint_error": endpoint_error(reference_track, track, visible),
        "path_distance": path_distance(reference_track, track, visible),
        "speed_ratio": speed_ratio(reference_track, track, visible, short_side),
        **judged.figures(),
    }
