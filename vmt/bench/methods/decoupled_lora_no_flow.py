"""Decoupled-LoRA Tuner's motion LoRA by itself, as a stock loader would use it at its noise levels."""

from ...demo.tuned_graph import lora_alone
from .method import Method

METHOD = Method("decoupled_lora, without the latent flow beside it", lora_alone(), tunes=True)
