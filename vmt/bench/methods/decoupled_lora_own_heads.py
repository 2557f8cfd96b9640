"""Decoupled-LoRA Tuner with look and motion in attention heads of their own, as published.

A head that one of its LoRAs reaches the other does not: both together have the parameters of those of decoupled_lora.
"""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"heads": "decoupled", "rank": 16}
METHOD = Method(
    "decoupled_lora, look and motion each in attention heads of their own, of as many parameters",
    tuned(**OPTIONS),
    tunes=True,
)
