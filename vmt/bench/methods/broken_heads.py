"""Wrong on purpose: the heads of the reference's queries scrambled, and with them channels and tokens."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method, led_through, with_preset


def changed(demo: DemoGraph) -> dict:
    return led_through(demo.full, api_graph.only(demo.full, EXTRACT), "features", "VMT_BenchScrambleHeads")


METHOD = Method("broken on purpose: heads scrambled", with_preset("custom", changed), broken=True)
