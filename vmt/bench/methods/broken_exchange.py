"""Wrong on purpose: the reference's queries with heads and tokens exchanged."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method, led_through, with_preset


def changed(demo: DemoGraph) -> dict:
    return led_through(demo.full, api_graph.only(demo.full, EXTRACT), "features", "VMT_BenchExchangeHeadsAndTokens")


METHOD = Method("broken on purpose: heads and tokens exchanged", with_preset("custom", changed), broken=True)
