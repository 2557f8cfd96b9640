"""Decoupled-LoRA Tuner further down in noise, where motion is learned and used at 0.7 and more."""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {"sigma_end": 0.7}
METHOD = Method(
    "decoupled_lora_no_flow, learned and used at noise levels down to 0.7", lora_alone(**OPTIONS), tunes=True
)
