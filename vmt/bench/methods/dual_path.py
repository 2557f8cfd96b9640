"""MotionDirector's way (arXiv 2310.08465): a LoRA of single frames, then one of the clip on top, which is kept."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method(
    "a LoRA of the whole clip tuned over one of its single frames, which is then left out, both of every head",
    tuned(heads="all", stride=1, motion_weight=0.0),
    tunes=True,
)
