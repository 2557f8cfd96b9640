"""Decoupled-LoRA Tuner without decoupling: both branches reach every head.

On the demo model its motion LoRA has 1 % fewer parameters than that of decoupled_lora, which is the one that is used.
"""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"heads": "all", "rank": 11}
METHOD = Method(
    "decoupled_lora, look and motion in all heads, the motion LoRA of as many parameters", tuned(**OPTIONS), tunes=True
)
