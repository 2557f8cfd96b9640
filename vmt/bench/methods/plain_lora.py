"""What a LoRA learns of a clip without any of it: every frame, every head, flow matching alone."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method(
    "a LoRA of every head tuned on every frame of the reference",
    tuned(spatial_steps=0, heads="all", stride=1, motion_weight=0.0),
    tunes=True,
)
