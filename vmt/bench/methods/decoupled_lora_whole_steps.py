"""decoupled_lora_level_8 whose last steps are made at the whole size, on the thinned-out clip; as many operations."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_level_8
from .method import Method

OPTIONS = {**decoupled_lora_level_8.OPTIONS, "half_steps": 250, "temporal_steps": 80}
METHOD = Method(
    "decoupled_lora_level_8, its last steps at the whole size, thinned out in time", lora_alone(**OPTIONS), tunes=True
)
