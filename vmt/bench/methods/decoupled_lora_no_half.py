"""decoupled_lora_no_flow at the whole size, thinned out in time, in the place of half size; it costs about as much."""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {"half_steps": 0, "temporal_steps": 180}
METHOD = Method("decoupled_lora_no_flow, at the whole size, thinned out in time", lora_alone(**OPTIONS), tunes=True)
