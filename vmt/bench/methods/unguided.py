"""Control: the same prompt, seed and steps without any reference. The floor of every figure."""

from ...demo import api_graph
from ...demo.demo_graph import DemoGraph
from .method import Method


def graph(demo: DemoGraph) -> dict:
    return api_graph.keep(api_graph.without_guidance(demo.full), demo.save)


METHOD = Method("no reference: same prompt, seed and steps", graph, control=True)
