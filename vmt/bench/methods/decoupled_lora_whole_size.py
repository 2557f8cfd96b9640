"""Decoupled-LoRA Tuner of the paper's parts alone: whole size, thinned out in time, all noise levels, heads apart."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_own_heads
from .method import Method

OPTIONS = {**decoupled_lora_own_heads.OPTIONS, "half_steps": 0, "temporal_steps": 400, "sigma_end": 0.0}
METHOD = Method(
    "decoupled_lora_no_flow, at whole size and all noise levels, thinned out in time", lora_alone(**OPTIONS), tunes=True
)
