"""Decoupled-LoRA Tuner at higher noise levels alone, of which motion is learned and used at 0.8 and more."""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {"sigma_end": 0.8}
METHOD = Method("decoupled_lora, learned and used at noise levels down to 0.8", lora_alone(**OPTIONS), tunes=True)
