"""Decoupled-LoRA Tuner whose thinned-out frames sit close together in time."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("decoupled_lora, without adaptive RoPE", tuned(rope="none"), tunes=True)
