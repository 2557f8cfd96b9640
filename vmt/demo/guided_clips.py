"""Videos of further prompts that the reference guides, for a tuning to learn from beside it."""

from __future__ import annotations

from collections.abc import Callable

from . import api_graph
from .demo_graph import DemoGraph

PROMPTS = (  # of the small model's words
    "a red square on a tiled grey ground",
    "a white circle on a spotted navy ground",
    "a green triangle on a tiled teal ground",
    "a yellow star on a spotted brown ground",
    "a blue cross on a tiled black ground",
)
GROUND = " on a "  # comes before it


def prompts_beside(demo: DemoGraph, number: int) -> list[str]:
    """So many prompts, none of them the workflow's own; of grounds alone if the reference shows nothing else."""
    thing = GROUND in demo.caption
    prompts = [told if thing else f"a {told.split(GROUND)[1]}" for told in PROMPTS]
    return [told for told in prompts if told != demo.prompt][:number]


def with_guided_clips(
    demo: DemoGraph, tuned: dict, tuner: str, number: int, guided: Callable[[DemoGraph], dict]
) -> dict:  # fmt: skip
    """The graph `tuned`, its node `tuner` given so many further clips.

    Each has a prompt of `prompts_beside` and a seed of its own, which do not depend on the workflow's seed.

    Args:
        number: at most four. guided: the workflow -> the guided graph that a clip is made by.
    """
    graph, last = dict(tuned), {}
    for clip, prompt in enumerate(prompts_beside(demo, number), 1):
        asked = demo.filled(None, prompt, clip)
        made = guided(asked)
        frames = api_graph.link(made, api_graph.link(made, demo.save, "video"), "images")
        words = api_graph.link(made, demo.sampler, "positive")
        # What depends on prompt or seed is this clip's own; all else is the graph's.
        own = {node for node in made if {words, demo.sampler} & api_graph.upstream(made, node)}
        apart = {node: f"{node} of clip {clip}" if node in own else node for node in made}
        for node, name in apart.items():
            inputs = {key: _led(value, apart) for key, value in made[node]["inputs"].items()}
            if node in own or node not in graph:
                graph[name] = {**made[node], "inputs": inputs}
        given = {"frames": [apart[frames], 0], "positive": [apart[words], 0], **last}
        graph[f"clip {clip}"] = {"class_type": "VMT_FurtherClip", "inputs": given}
        last = {"further_clips": [f"clip {clip}", 0]}
    graph[tuner] = {**graph[tuner], "inputs": {**graph[tuner]["inputs"], **last}}
    return graph


def _led(value: object, apart: dict[str, str]) -> object:
    """An input's value; a link to a node that has another name leads to that."""
    return [apart[value[0]], value[1]] if isinstance(value, list) and value[0] in apart else value
