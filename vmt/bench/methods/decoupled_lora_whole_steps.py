"""Decoupled-LoRA Tuner whose last steps are made at the whole size, on the thinned-out clip; for as many operations."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"half_steps": 250, "temporal_steps": 80, "sigma_end": 0.8}
METHOD = Method("decoupled_lora, its last steps at the whole size, thinned out in time", tuned(**OPTIONS), tunes=True)
