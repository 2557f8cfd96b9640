"""MotionDirector's way (arXiv 2310.08465): a LoRA of single frames, then one of the clip on top, which is kept.

Both together have the parameters of the two LoRAs of decoupled_lora, and of plain_lora.
"""

from ...demo.tuned_graph import lora_alone
from .method import Method

OPTIONS = {
    "half_steps": 0, "temporal_steps": 400, "heads": "all", "stride": 1, "motion_weight": 0.0, "sigma_end": 0.0,
    "rank": 12,
}  # fmt: skip
METHOD = Method(
    "a LoRA of the whole clip tuned over one of its single frames, which is then left out, both of every head and "
    "together of as many parameters as both LoRAs of decoupled_lora",
    lora_alone(**OPTIONS),
    tunes=True,
)
