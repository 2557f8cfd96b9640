"""Decoupled-LoRA Tuner without decoupling: both branches reach every head."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("decoupled_lora, look and motion in all heads", tuned(heads="all"), tunes=True)
