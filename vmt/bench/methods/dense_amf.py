"""Attention motion flow of whole frames over all frame pairs, as DiTFlow defines it (arXiv 2412.07776, section 4)."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method, with_preset

DENSE = {"span": 32, "radius": -1, "centre": "own", "heads": "mean_logits", "target": "argmax", "weight": "none"}


def changed(demo: DemoGraph) -> dict:
    graph = demo.full
    for name, value in DENSE.items():
        graph = api_graph.with_input(graph, api_graph.only(graph, EXTRACT), name, value)
    return graph


METHOD = Method("AMF of whole frames, all frame pairs, as DiTFlow has it", with_preset("custom", changed))
