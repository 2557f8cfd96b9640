"""Decoupled-LoRA Tuner with look and motion in heads of their own, as published; last steps at the whole size.

A head that one of its LoRAs reaches the other does not: both together have the parameters of those of decoupled_lora.
"""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_whole_steps
from .method import Method

OPTIONS = {**decoupled_lora_whole_steps.OPTIONS, "heads": "decoupled", "rank": 16}
METHOD = Method(
    "decoupled_lora_whole_steps, look and motion each in attention heads of their own, of as many parameters",
    lora_alone(**OPTIONS),
    tunes=True,
)
