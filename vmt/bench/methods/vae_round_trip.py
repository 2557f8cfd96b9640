"""Control: the reference through the VAE and back. The ceiling of every figure, and the noise of its measuring."""

from ...demo import api_graph
from ...demo.demo_graph import DemoGraph
from .method import Method


def graph(demo: DemoGraph) -> dict:
    """The encoded reference goes where the sampler's result went."""
    encoded = demo.full[api_graph.only(demo.full, "VMT_WindowedInversion")]["inputs"]["reference"]
    changed = demo.full
    for node_id, node in demo.full.items():
        for name, value in node["inputs"].items():
            if value == [demo.sampler, 0]:
                changed = api_graph.with_input(changed, node_id, name, encoded)
    return api_graph.keep(changed, demo.save)


METHOD = Method("the reference through the VAE: the ceiling", graph, shows_reference=True, control=True)
