"""Clips whose motion is known exactly: the demo model's training set and the references of tests and bench."""

from .render import Clip, render, render_batch
from .sample import is_held_out, sample_scene
from .scene import Ground, Scene, SceneObject

__all__ = ["Clip", "Ground", "Scene", "SceneObject", "is_held_out", "render", "render_batch", "sample_scene"]
