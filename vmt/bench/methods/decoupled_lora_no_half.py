"""Decoupled-LoRA Tuner without its steps at half size, for as many operations: more of them on the thinned-out clip."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"half_steps": 0, "temporal_steps": 180}
METHOD = Method("decoupled_lora, its motion learned at whole size alone", tuned(**OPTIONS), tunes=True)
