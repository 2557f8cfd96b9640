"""DiTFlow with its injection: `dense_amf`, and the first block attends to the reference (arXiv 2412.07776, 4.4)."""

from ...demo import api_graph
from ...demo.demo_graph import DemoGraph
from . import dense_amf
from .method import Method, with_preset

INJECTION = "injection"


def changed(demo: DemoGraph) -> dict:
    graph = dense_amf.changed(demo)
    inversion = graph[api_graph.only(graph, "VMT_WindowedInversion")]["inputs"]
    inputs = {"model": graph[demo.sampler]["inputs"]["model"], "reference": inversion["reference"], "sigma_end": 0.95}
    graph = {**graph, INJECTION: {"class_type": "VMT_KeyValueInjection", "inputs": inputs}}
    return api_graph.with_input(graph, demo.sampler, "model", [INJECTION, 0])


METHOD = Method(
    "dense_amf, the first block attending to the reference, as DiTFlow has it", with_preset("custom", changed)
)
