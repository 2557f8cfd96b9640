"""decoupled_lora_level_7 without its stage on single frames: no appearance LoRA stands while the motion is learned."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_level_7
from .method import Method

OPTIONS = {**decoupled_lora_level_7.OPTIONS, "spatial_steps": 0}
METHOD = Method(
    "decoupled_lora_level_7, without the stage that learns the look first", lora_alone(**OPTIONS), tunes=True
)
