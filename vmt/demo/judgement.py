"""What one sampled clip shows, against what its prompt names."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..metrics.appearance import judge_colour, judge_ground, judge_shape
from ..metrics.centroid import mask_track, object_mask
from ..metrics.components import one_object_share
from ..metrics.trajectory import has_jump
from ..synthetic.scene import Scene


@dataclass(frozen=True)
class Judgement:
    """A clip judged against a single-thing scene: the words seen, whether they are right, and the thing's path."""

    words: dict[str, str | None]
    right: dict[str, bool]
    one_object: float
    jumps: bool
    track_px: torch.Tensor
    visible: torch.Tensor

    def figures(self) -> dict[str, float | bool]:
        """Share of frames with exactly one thing, and a bool per word and for "no jump"."""
        right = {f"{name}_right": value for name, value in self.right.items()}
        return {**right, "one_object": self.one_object, "no_jump": not self.jumps}


def judge_sample(scene: Scene, frames: torch.Tensor) -> Judgement:
    """Judge frames (T,H,W,3) float 0..1 against the caption of a scene with one thing.

    A thing of any colour counts, so a second one of another colour is seen; a clip whose thing is never seen jumps.
    """
    thing = scene.objects[0]
    mask = object_mask(frames)
    track, visible = mask_track(mask)
    ground, texture = judge_ground(frames, mask)
    words = {
        "colour": judge_colour(frames, mask),
        "ground": ground,
        "texture": texture,
        "shape": judge_shape(frames, mask),
    }
    wanted = {
        "colour": thing.colour,
        "ground": scene.ground.colour,
        "texture": scene.ground.texture,
        "shape": thing.shape,
    }
    jumps = not bool(visible.any()) or has_jump(track, visible)
    right = {name: words[name] == word for name, word in wanted.items()}
    return Judgement(words, right, one_object_share(mask), jumps, track, visible)
