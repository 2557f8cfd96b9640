"""Decoupled-LoRA Tuner at the whole size, thinned out in time, in the place of half size; about as many operations."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"half_steps": 0, "temporal_steps": 180, "sigma_end": 0.8}
METHOD = Method("decoupled_lora, at the whole size, thinned out in time", tuned(**OPTIONS), tunes=True)
