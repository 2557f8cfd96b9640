"""Videos of further prompts that the reference guides, for a tuning to learn from beside it."""

from __future__ import annotations

from collections.abc import Callable

from . import api_graph
from .demo_graph import DemoGraph

PROMPTS = (  # of the small model's words; of its grounds a tiled one is moved best
    "a red square on a tiled grey ground",
    "a white circle on a tiled navy ground",
    "a green triangle on a tiled teal ground",
    "a yellow star on a tiled brown ground",
    "a blue cross on a tiled black ground",
    "a purple circle on a spotted grey ground",
)
GROUND = " on a "  # comes before it


def prompts_beside(demo: DemoGraph, number: int) -> list[str]:
    """So many prompts, up to four, neither the workflow's own nor the reference's caption; of grounds alone if the
    reference shows nothing else."""
    thing = GROUND in demo.caption
    prompts = [told if thing else f"a {told.split(GROUND)[1]}" for told in PROMPTS]
    return [told for told in prompts if told not in (demo.prompt, demo.caption)][:number]


def with_guided_clips(
    demo: DemoGraph, tuned: dict, tuner: str, number: int, guided: Callable[[DemoGraph], dict]
) -> dict:  # fmt: skip
    """The graph `tuned`, its node `tuner` given so many further clips.

    Each has a prompt of `prompts_beside` and a seed of its own, which do not depend on the workflow's seed.

    Args:
        number: one to four. guided: the workflow -> the guided graph that a clip is made by.
    """
    graph, last = tuned, {}
    for clip, prompt in enumerate(prompts_beside(demo, number), 1):
        made = guided(demo.filled(None, prompt, clip))
        given = {"frames": demo.images(made), "positive": made[demo.sampler]["inputs"]["positive"], **last}
        made["clip"] = {"class_type": "VMT_FurtherClip", "inputs": given}
        # What depends on prompt or seed is this clip's own; all else is the graph's.
        own = [node for node in made if {demo.prompt_node, demo.sampler} & api_graph.upstream(made, node)]
        graph = {**api_graph.renamed(made, {node: f"{node} {clip}" for node in own}), **graph}
        last = {"further_clips": [f"clip {clip}", 0]}
    return api_graph.with_input(graph, tuner, "further_clips", last["further_clips"])
