"""Attention motion flow of whole frames over all pairs of frames: DiTFlow's signal (arXiv 2412.07776, section 4).

DiTFlow's pairs also lead back in time and from a frame to itself. Its temperature, loss, optimiser and guided steps are
its own; here they are those of the workflow.
"""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method, with_preset

DENSE = {"span": 32, "radius": -1, "centre": "own", "heads": "mean_logits", "target": "argmax", "weight": "none"}


def changed(demo: DemoGraph) -> dict:
    graph = demo.full
    for name, value in DENSE.items():
        graph = api_graph.with_input(graph, api_graph.only(graph, EXTRACT), name, value)
    return graph


METHOD = Method("AMF of whole frames, all pairs of frames, with our settings", with_preset("custom", changed))
