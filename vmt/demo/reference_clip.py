"""The clip that `demo` uses when none is given: one drawn thing on a wide path, the same on every machine."""

from __future__ import annotations

from pathlib import Path
from random import Random

from ..synthetic import Scene, render, sample_scene
from ..video import write_video

SEED = 37306  # the first whose thing bounces over 45 pixels and more both ways, on a plain ground
NUM_FRAMES = 33
FPS = 16.0


def reference_scene() -> Scene:
    return sample_scene(Random(SEED), "single", NUM_FRAMES, held_out=True)


def write_reference(path: Path) -> Path:
    """Writes the clip as an mp4, 33 frames of 128x128 at 16 fps."""
    write_video(path, render(reference_scene()).frames, FPS)
    return path
