"""Decoupled-LoRA Tuner without sparse motion sampling."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"stride": 1}
METHOD = Method("decoupled_lora, tuned on every frame", tuned(**OPTIONS), tunes=True)
