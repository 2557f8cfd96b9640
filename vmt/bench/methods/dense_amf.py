"""Attention motion flow of whole frames over all frame pairs, as DiTFlow defines it (arXiv 2412.07776, section 4)."""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method

DENSE = {"span": 32, "radius": -1, "centre": "own", "heads": "mean_logits", "target": "argmax", "weight": "none"}


def graph(demo: DemoGraph) -> dict:
    changed = demo.full
    for name, value in DENSE.items():
        changed = api_graph.with_input(changed, api_graph.only(changed, EXTRACT), name, value)
    return api_graph.keep(api_graph.with_input(changed, demo.sampler, "preset", "custom"), demo.save)


METHOD = Method("AMF of whole frames, all frame pairs, as DiTFlow has it", graph)
