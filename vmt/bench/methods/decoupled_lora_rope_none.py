"""Decoupled-LoRA Tuner whose tokens of half size sit close together."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("decoupled_lora, without adaptive RoPE", tuned(rope="none"), tunes=True)
