"""Decoupled-LoRA Tuner with the factor of the paper, the ratio of token counts, for rows and columns."""

from ...demo.tuned_graph import lora_alone
from .method import Method

METHOD = Method("decoupled_lora, adaptive RoPE by the ratio of token counts", lora_alone(rope="tokens"), tunes=True)
