"""decoupled_lora_level_7 with the factor of the paper, the ratio of token counts, for rows and columns."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_level_7
from .method import Method

OPTIONS = {**decoupled_lora_level_7.OPTIONS, "rope": "tokens"}
METHOD = Method("decoupled_lora_level_7, adaptive RoPE by the ratio of token counts", lora_alone(**OPTIONS), tunes=True)
