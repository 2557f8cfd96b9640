"""decoupled_lora_no_flow whose last steps are made at the whole size, on the thinned-out clip; as many operations."""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {"half_steps": 250, "temporal_steps": 80}
METHOD = Method(
    "decoupled_lora_no_flow, its last steps at the whole size, thinned out in time", lora_alone(**OPTIONS), tunes=True
)
