"""Decoupled-LoRA Tuner by flow matching alone."""

from ...demo.tuned_graph import lora_alone
from .method import Method

METHOD = Method(
    "decoupled_lora, without the loss of the direction of change", lora_alone(motion_weight=0.0), tunes=True
)
