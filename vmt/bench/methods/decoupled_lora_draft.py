"""decoupled_lora by the tuner's preset draft."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("decoupled_lora by the preset draft: fewer steps", tuned(preset="draft"), tunes=True)
