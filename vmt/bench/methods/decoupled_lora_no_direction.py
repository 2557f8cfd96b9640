"""decoupled_lora_level_7 by flow matching alone."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_level_7
from .method import Method

OPTIONS = {**decoupled_lora_level_7.OPTIONS, "motion_weight": 0.0}
METHOD = Method(
    "decoupled_lora_level_7, without the loss of the direction of change", lora_alone(**OPTIONS), tunes=True
)
