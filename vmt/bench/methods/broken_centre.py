"""Wrong on purpose: the window follows the best match, and its centre is dropped from the displacement."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method, guide, led_through, with_preset


def changed(demo: DemoGraph) -> dict:
    graph = api_graph.with_input(demo.full, api_graph.only(demo.full, EXTRACT), "centre", "match")
    return led_through(graph, guide(demo), "amf", "VMT_BenchDropCentre")


METHOD = Method(
    "broken on purpose: displacements without the window's centre", with_preset("custom", changed), broken=True
)
