"""The clip that `demo` uses when none is given: one drawn thing on a wide path, the same on every machine."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random

from ..synthetic import Scene, render, sample_scene
from ..video import write_video

MOTION = "bounce"
EXTENT = 45.0  # pixels that the path spans in both directions at least, so that the motion is plain to see
NUM_FRAMES = 33
FPS = 16.0


def write_reference(path: Path) -> Path:
    """Writes the clip as an mp4, 33 frames of 128x128 at 16 fps."""
    scenes = (sample_scene(Random(seed), "single", NUM_FRAMES, held_out=True) for seed in count())
    write_video(path, render(next(scene for scene in scenes if _is_plain_to_see(scene))).frames, FPS)
    return path


def _is_plain_to_see(scene: Scene) -> bool:
    path = scene.objects[0].centre
    wide = (path.amax(0) - path.amin(0)).min() >= EXTENT
    return scene.objects[0].motion == MOTION and scene.ground.texture == "plain" and bool(wide)
