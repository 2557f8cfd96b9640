"""Decoupled-LoRA Tuner without its stage on single frames: no appearance LoRA stands while the motion is learned."""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {"spatial_steps": 0}
METHOD = Method("decoupled_lora, without the stage that learns the look first", lora_alone(**OPTIONS), tunes=True)
