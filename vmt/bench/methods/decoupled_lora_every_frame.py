"""Decoupled-LoRA Tuner without sparse motion sampling."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("decoupled_lora, tuned on every frame", tuned(stride=1), tunes=True)
