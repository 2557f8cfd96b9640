"""DiTFlow with its injection: `dense_amf`, and the first block attends to the reference (arXiv 2412.07776, 4.4)."""

from ...demo.demo_graph import DemoGraph
from . import dense_amf
from .method import Method, patched, with_preset


def changed(demo: DemoGraph) -> dict:
    return patched(demo, dense_amf.changed(demo), "VMT_KeyValueInjection", sigma_end=0.95)


METHOD = Method(
    "dense_amf, the first block attending to the reference, as DiTFlow has it", with_preset("custom", changed)
)
