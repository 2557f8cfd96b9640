"""Decoupled-LoRA Tuner whose tokens of half size sit close together."""

from ...demo.tuned_graph import lora_alone
from .method import Method

METHOD = Method("decoupled_lora, without adaptive RoPE", lora_alone(rope="none"), tunes=True)
