"""Decoupled-LoRA Tuner at half the height and width alone, for as many operations as with the whole-size steps."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"half_steps": 400, "temporal_steps": 0}
METHOD = Method("decoupled_lora, its motion learned at half size alone", tuned(**OPTIONS), tunes=True)
