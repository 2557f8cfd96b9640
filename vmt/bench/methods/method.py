"""What a method of the bench is: which graph it runs, and what it is given as its reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch

from ...demo import api_graph
from ...demo.demo_graph import DemoGraph

PATCH = "patch"


def full_graph(demo: DemoGraph) -> dict:
    return demo.full


def with_preset(name: str, changed: Callable[[DemoGraph], dict] = full_graph) -> Callable[[DemoGraph], dict]:
    """The workflow, or what `changed` makes of it, by another preset."""
    return lambda demo: api_graph.keep(api_graph.with_input(changed(demo), guide(demo), "preset", name), demo.save)


def guide(demo: DemoGraph) -> str:
    """The node that is told preset and AMF: the sampler, or Motion Guidance before it."""
    if demo.full[demo.sampler]["class_type"] == api_graph.SAMPLER:
        return demo.sampler
    return api_graph.only(api_graph.keep(demo.full, demo.sampler), "VMT_MotionGuidance")


def patched(demo: DemoGraph, graph: dict, class_type: str, **settings) -> dict:
    """The graph, its sampler given the model through a node that takes it and the reference's latent."""
    reference = demo.full[api_graph.only(demo.full, "VMT_WindowedInversion")]["inputs"]["reference"]
    inputs = {"model": graph[demo.sampler]["inputs"]["model"], "reference": reference, **settings}
    graph = {**graph, PATCH: {"class_type": class_type, "inputs": inputs}}
    return api_graph.with_input(graph, demo.sampler, "model", [PATCH, 0])


def led_through(graph: dict, node: str, name: str, class_type: str) -> dict:
    """The graph, that input of the node led through a node of the bench's own that takes it by the same name."""
    between = {"class_type": class_type, "inputs": {name: graph[node]["inputs"][name]}}
    return api_graph.with_input({**graph, PATCH: between}, node, name, [PATCH, 0])


def as_they_are(frames: torch.Tensor, rng: Random) -> torch.Tensor:
    return frames


@dataclass(frozen=True)
class Method:
    """about: one line for the report.

    graph: the demo workflow, filled in for the case -> the API-form graph to run; its node `save` saves the result.
    reference: (frames (T,H,W,3), lots of the case) -> the frames to upload in their place.
    unrelated: it is given the reference of another case, and judged against its own.
    control: what every method is to be seen beside; run with whatever is named.
    broken: wrong on purpose, to see that the bench notices; run only where it is named.
    tunes: trains on each reference, which takes minutes; run only where it is named.
    shows_reference: the result is to show what the reference shows, not what the prompt names.
    perfect: it is given what is to come out, `Case.perfect_transfer`, in the place of the reference.
    """

    about: str
    graph: Callable[[DemoGraph], dict]
    reference: Callable[[torch.Tensor, Random], torch.Tensor] = as_they_are
    unrelated: bool = False
    shows_reference: bool = False
    perfect: bool = False
    control: bool = False
    broken: bool = False
    tunes: bool = False
