"""Wrong on purpose: the window follows the best match, and its centre is dropped from the displacement."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method

SPOILED = "spoiled"


def graph(demo: DemoGraph) -> dict:
    extract = api_graph.only(demo.full, EXTRACT)
    changed = api_graph.with_input(demo.full, extract, "centre", "match")
    changed = api_graph.with_input(changed, demo.sampler, "amf", [SPOILED, 0])
    changed[SPOILED] = {"class_type": "VMT_BenchDropCentre", "inputs": {"amf": [extract, 0]}}
    return api_graph.keep(api_graph.with_input(changed, demo.sampler, "preset", "custom"), demo.save)


METHOD = Method("broken on purpose: displacements without the window's centre", graph, broken=True)
