"""Wrong on purpose: the window follows the best match, and its centre is dropped from the displacement."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method, guide, with_preset

SPOILED = "spoiled"


def changed(demo: DemoGraph) -> dict:
    extract = api_graph.only(demo.full, EXTRACT)
    graph = api_graph.with_input(demo.full, extract, "centre", "match")
    graph = api_graph.with_input(graph, guide(demo), "amf", [SPOILED, 0])
    graph[SPOILED] = {"class_type": "VMT_BenchDropCentre", "inputs": {"amf": [extract, 0]}}
    return graph


METHOD = Method(
    "broken on purpose: displacements without the window's centre", with_preset("custom", changed), broken=True
)
