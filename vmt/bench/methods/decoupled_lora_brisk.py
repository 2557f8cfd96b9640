"""Decoupled-LoRA Tuner in half as many steps of twice the learning rate."""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {"half_steps": 200, "learning_rate": 4e-3}
METHOD = Method("decoupled_lora, in half the steps at twice the learning rate", lora_alone(**OPTIONS), tunes=True)
