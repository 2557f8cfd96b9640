"""What a LoRA learns of a clip without any of it: whole size, all frames, heads and noise levels, flow matching.

Its rank gives it the parameters of the motion and the appearance LoRA of decoupled_lora together.
"""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {
    "spatial_steps": 0, "half_steps": 0, "temporal_steps": 400, "heads": "all", "stride": 1, "motion_weight": 0.0,
    "sigma_end": 0.0, "rank": 24,
}  # fmt: skip
METHOD = Method(
    "a LoRA of every head tuned on every frame of the reference, as many parameters as both LoRAs of decoupled_lora",
    lora_alone(**OPTIONS),
    tunes=True,
)
