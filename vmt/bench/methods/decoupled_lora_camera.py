"""Decoupled-LoRA Tuner whose motion is taken further by guidance where the reference's whole frame moves."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("decoupled_lora, a camera's motion taken further by guidance", tuned(camera="auto"), tunes=True)
