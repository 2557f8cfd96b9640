"""Pull on the frame differences of the predicted clip, FlowMotion's idea (arXiv 2603.06289) in closed form."""

from ...demo import api_graph
from ...demo.demo_graph import DemoGraph
from .method import Method, patched

SETTINGS = {"strength": 1.0, "softness": 0.02, "sigma_start": 1.0, "sigma_end": 0.7}


def graph(demo: DemoGraph) -> dict:
    changed = patched(demo, api_graph.without_guidance(demo.full), "VMT_FrameDifferencePull", **SETTINGS)
    return api_graph.keep(changed, demo.save)


METHOD = Method("the predicted clip's frame differences pulled towards the reference's", graph)
