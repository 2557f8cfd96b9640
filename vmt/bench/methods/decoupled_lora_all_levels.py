"""Decoupled-LoRA Tuner at all noise levels, at which its motion then works too, as a stock loader has it."""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {"sigma_end": 0.0}
METHOD = Method("decoupled_lora_no_flow, learned and used at all noise levels", lora_alone(**OPTIONS), tunes=True)
