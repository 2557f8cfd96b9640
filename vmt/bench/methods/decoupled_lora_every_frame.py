"""Decoupled-LoRA Tuner without any sampling, in space or in time; for as many operations, so with fewer steps."""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {"half_steps": 0, "temporal_steps": 80, "stride": 1}
METHOD = Method("decoupled_lora_no_flow, tuned at the whole size on every frame", lora_alone(**OPTIONS), tunes=True)
