"""decoupled_lora_level_7 whose tokens of half size sit close together."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_level_7
from .method import Method

OPTIONS = {**decoupled_lora_level_7.OPTIONS, "rope": "none"}
METHOD = Method("decoupled_lora_level_7, without adaptive RoPE", lora_alone(**OPTIONS), tunes=True)
