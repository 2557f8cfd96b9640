"""decoupled_lora_level_8 at the whole size, thinned out in time, in the place of half size; it costs about as much."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_level_8
from .method import Method

OPTIONS = {**decoupled_lora_level_8.OPTIONS, "half_steps": 0, "temporal_steps": 180}
METHOD = Method("decoupled_lora_level_8, at the whole size, thinned out in time", lora_alone(**OPTIONS), tunes=True)
