"""decoupled_lora_level_7 in half as many steps of twice the learning rate."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_level_7
from .method import Method

OPTIONS = {**decoupled_lora_level_7.OPTIONS, "half_steps": 200, "learning_rate": 4e-3}
METHOD = Method(
    "decoupled_lora_level_7, in half the steps at twice the learning rate", lora_alone(**OPTIONS), tunes=True
)
