"""DiTFlow's two parts: `dense_amf`, and its injection, the first block attending to the reference (2412.07776, 4.4)."""

from ...demo.demo_graph import DemoGraph
from . import dense_amf
from .method import Method, patched, with_preset


def changed(demo: DemoGraph) -> dict:
    return patched(demo, dense_amf.changed(demo), "VMT_KeyValueInjection", sigma_end=0.95)


METHOD = Method("dense_amf, and DiTFlow's injection of keys and values", with_preset("custom", changed))
