"""Decoupled-LoRA Tuner on each reference and on videos of other things that it guided: what they have in common.

Guidance is paid for once; its motion then comes with a file, on every prompt.
"""

from ...demo import api_graph
from ...demo.demo_graph import DemoGraph
from ...demo.guided_clips import with_guided_clips
from ...demo.tuned_graph import TUNER_NODE, lora_alone
from .method import Method, with_preset

CLIPS, PRESET = 4, "free"


def graph(demo: DemoGraph) -> dict:
    beside = with_guided_clips(demo, lora_alone()(demo), TUNER_NODE, CLIPS, with_preset(PRESET))
    return api_graph.keep(beside, demo.save)


METHOD = Method(
    f"decoupled_lora_no_flow, tuned also on {CLIPS} videos of other prompts that the reference guided, "
    f"by preset {PRESET}",
    graph,
    tunes=True,
)
