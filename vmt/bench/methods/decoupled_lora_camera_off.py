"""Decoupled-LoRA Tuner whose motion of a camera is used as a thing's is: where it was learned, under both prompts."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("decoupled_lora, used where it was learned and under both prompts", tuned(camera="off"), tunes=True)
