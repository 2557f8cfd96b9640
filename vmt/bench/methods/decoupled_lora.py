"""Decoupled-LoRA Tuner on each reference; the motion LoRA by itself."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("a motion LoRA tuned on the reference, look and motion in heads of their own", tuned(), tunes=True)
