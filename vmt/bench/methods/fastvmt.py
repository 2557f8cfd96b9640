"""FastVMT as published (arXiv 2602.05551), by our code: without the defects of its release.

Its own settings but for the sizes, which are those of Wan at 480x832, 30x52 tokens a frame: here they are as large in
the frame of the workflow. It starts from noise, where the release starts from the noised reference; for that alone see
`noised_start`.
"""

from ...demo import api_graph
from ...demo.demo_graph import EXTRACT, DemoGraph
from .method import Method, guide, with_preset

# A window reaches a third of the frame's smaller side to each side, 10 tokens of 30, which is 3 of the demo's 8. A tile
# of 3x4 tokens is a tenth of the frame's height and a thirteenth of its width, which is less than one token of 8.
SIDE = 16  # pixels of a token
SHARE = 1 / 3
FLOW = {
    "span": 3, "tile_rows": 1, "tile_columns": 1, "centre": "match", "heads": "mean_logits", "target": "soft",
    "weight": "none", "temperature": 1.0,
}  # fmt: skip
INVERSION = {"rope": "post", "sigma": 0.0}  # the reference without noise, and q and k with their positions
# Of 16 steps, shift 5, the first fifth: noise levels 1, .987 and .972. The motion is read in the noise itself.
GUIDANCE = {
    "strength": 0.003, "sigma_start": 1.0, "sigma_end": 0.97, "inner_steps": 10, "recompute_every": 3,
    "look_ahead": False,
}  # fmt: skip
OPTIONS = {
    "update": "adam", "strength_decay": 1 / 3, "loss_floor": 1e-8, "blocks": "all", "checkpoint": "auto",
    "window_share": 0.2,
}  # fmt: skip
RARE = "published options"


def changed(demo: DemoGraph) -> dict:
    size = [demo.full[demo.loader]["inputs"][side] for side in ("height", "width")]
    flow = {**FLOW, "radius": round(min(size) / SIDE * SHARE)}
    graph = {**demo.full, RARE: {"class_type": api_graph.OPTIONS, "inputs": dict(OPTIONS)}}
    settings = {
        api_graph.only(graph, EXTRACT): flow,
        api_graph.only(graph, "VMT_WindowedInversion"): INVERSION,
        guide(demo): {**GUIDANCE, "options": [RARE, 0]},
    }
    for node, inputs in settings.items():
        for name, value in inputs.items():
            graph = api_graph.with_input(graph, node, name, value)
    return graph


METHOD = Method(
    "FastVMT as published, without its release's defects, started from noise", with_preset("custom", changed)
)
