"""Wrong on purpose: the reference's queries with heads and tokens exchanged."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method, with_preset

SPOILED = "spoiled"


def changed(demo: DemoGraph) -> dict:
    extract = api_graph.only(demo.full, EXTRACT)
    features = demo.full[extract]["inputs"]["features"]
    graph = api_graph.with_input(demo.full, extract, "features", [SPOILED, 0])
    graph[SPOILED] = {"class_type": "VMT_BenchScrambleHeads", "inputs": {"features": features}}
    return graph


METHOD = Method("broken on purpose: heads scrambled", with_preset("custom", changed), broken=True)
