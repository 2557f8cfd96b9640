"""Wrong on purpose: the reference's queries meet the keys of another head."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method

SPOILED = "spoiled"


def graph(demo: DemoGraph) -> dict:
    extract = api_graph.only(demo.full, EXTRACT)
    features = demo.full[extract]["inputs"]["features"]
    changed = api_graph.with_input(demo.full, extract, "features", [SPOILED, 0])
    changed[SPOILED] = {"class_type": "VMT_BenchScrambleHeads", "inputs": {"features": features}}
    return api_graph.keep(api_graph.with_input(changed, demo.sampler, "preset", "custom"), demo.save)


METHOD = Method("broken on purpose: heads scrambled", graph, broken=True)
