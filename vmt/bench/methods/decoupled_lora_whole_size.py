"""Decoupled-LoRA Tuner at the whole size and at all noise levels alone: sparse motion sampling by itself."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"half_steps": 0, "temporal_steps": 400, "sigma_end": 0.0}
METHOD = Method("decoupled_lora, at whole size and all noise levels, thinned out in time", tuned(**OPTIONS), tunes=True)
