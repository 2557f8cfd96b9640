"""Decoupled-LoRA Tuner with the factor of the paper, the ratio of token counts, for rows and columns."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("decoupled_lora, adaptive RoPE by the ratio of token counts", tuned(rope="tokens"), tunes=True)
