"""Pull on the frame differences of the predicted clip, FlowMotion's idea (arXiv 2603.06289) in closed form."""

from ...demo import api_graph
from ...demo.demo_graph import DemoGraph
from .method import Method

SETTINGS = {"strength": 1.0, "softness": 0.02, "sigma_start": 1.0, "sigma_end": 0.7}
PULL = "pull"


def graph(demo: DemoGraph) -> dict:
    inversion = demo.full[api_graph.only(demo.full, "VMT_WindowedInversion")]["inputs"]
    changed = api_graph.without_guidance(demo.full)
    inputs = {"model": changed[demo.sampler]["inputs"]["model"], "reference": inversion["reference"], **SETTINGS}
    changed[PULL] = {"class_type": "VMT_FrameDifferencePull", "inputs": inputs}
    return api_graph.keep(api_graph.with_input(changed, demo.sampler, "model", [PULL, 0]), demo.save)


METHOD = Method("the predicted clip's frame differences pulled towards the reference's", graph)
