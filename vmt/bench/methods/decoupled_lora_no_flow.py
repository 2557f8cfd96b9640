"""Decoupled-LoRA Tuner's motion LoRA by itself, at the noise levels that it learned."""

from ...demo.tuned_graph import lora_alone
from .method import Method

METHOD = Method("decoupled_lora, without the latent flow beside it", lora_alone(), tunes=True)
