"""API-form graphs (`{node id: {"class_type", "inputs"}}`): finding nodes in them, and making one graph of another.

Nothing here changes its argument.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

from ..errors import InputError
from ..guidance.config import GuidanceConfig
from ..guidance.presets import LATENT

SAMPLER = "VMT_MotionGuidanceSampler"
OPTIONS = "VMT_GuidanceOptions"
MODEL_PATCHES = (
    "VMT_MotionGuidance", "VMT_FrameDifferencePull", "VMT_KeyValueInjection", "VMT_DecoupledLoraTuner",
    "VMT_LoadMotionLora",
)  # fmt: skip
KSAMPLER_INPUTS = (
    "model", "positive", "negative", "latent_image", "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise",
)  # fmt: skip

RARE = (
    "update", "strength_decay", "loss_floor", "smoothing", "share_forward", "max_steps", "reuse_steps", "turn",
    "window_share", "both_ways",
)  # fmt: skip


def load(path: Path) -> dict:
    """Raises InputError if the file is no API-form graph (the browser's "Export (API)")."""
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a workflow: {error}.") from error
    nodes = graph.values() if isinstance(graph, dict) else [graph]
    if not all(isinstance(node, dict) and "class_type" in node for node in nodes):
        raise InputError(f"{path} is no API-form workflow. Export it from the browser with Export (API).")
    return graph


def find(graph: dict, class_type: str) -> list[str]:
    """Ids of the nodes of one class."""
    return [node_id for node_id, node in graph.items() if node["class_type"] == class_type]


def only(graph: dict, class_type: str) -> str:
    """The id of the one node of that class. Raises InputError unless there is exactly one."""
    found = find(graph, class_type)
    if len(found) != 1:
        raise InputError(f"The workflow has {len(found)} nodes {class_type}; the demo needs exactly one.")
    return found[0]


def title(graph: dict, node_id: str) -> str:
    node = graph.get(node_id, {})
    return node.get("_meta", {}).get("title") or node.get("class_type", node_id)


def link(graph: dict, node_id: str, name: str) -> str | None:
    """The id of the node that the input is connected to; None if it is a value or not there."""
    value = graph[node_id].get("inputs", {}).get(name)
    return value[0] if _is_link(graph, value) else None


def upstream(graph: dict, node_id: str) -> set[str]:
    """All nodes whose results the node needs, itself included."""
    seen, waiting = set(), [node_id]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            values = graph[current].get("inputs", {}).values()
            waiting += [value[0] for value in values if _is_link(graph, value)]
    return seen


def keep(graph: dict, *node_ids: str) -> dict:
    """The part of the graph that makes these nodes."""
    wanted = set().union(*(upstream(graph, node_id) for node_id in node_ids))
    return {node_id: copy.deepcopy(node) for node_id, node in graph.items() if node_id in wanted}


def renamed(graph: dict, names: dict[str, str]) -> dict:
    """The graph, the nodes of these ids under other ones; links to them follow."""

    def led(value: object) -> object:
        return [names.get(value[0], value[0]), value[1]] if _is_link(graph, value) else value

    return {
        names.get(node_id, node_id): {**node, "inputs": {name: led(value) for name, value in node["inputs"].items()}}
        for node_id, node in graph.items()
    }


def with_input(graph: dict, node_id: str, name: str, value: object) -> dict:
    changed = copy.deepcopy(graph)
    changed[node_id]["inputs"][name] = value
    return changed


def with_options(graph: dict) -> dict:
    """The graph with Motion Guidance Options, as they are unless changed, at each guided sampler that has none."""
    changed, default = copy.deepcopy(graph), GuidanceConfig()
    values = {name: getattr(default, name) for name in RARE}
    values |= {
        "blocks": "all",
        "checkpoint": "auto",
        "size": "auto",
        "latent_steps": 0,
        "latent_strength": LATENT.strength,
        "latent_end": LATENT.sigma_end,
    }
    for node_id in find(graph, SAMPLER):
        if link(graph, node_id, "options") is None:
            options = f"options of {node_id}"
            changed[options] = {"class_type": OPTIONS, "inputs": dict(values)}
            changed[node_id]["inputs"]["options"] = [options, 0]
    return changed


def is_guided(graph: dict, node_id: str) -> bool:
    """Whether motion guidance has a part in what the node shows."""
    return any(graph[other]["class_type"] in (SAMPLER, *MODEL_PATCHES) for other in upstream(graph, node_id))


def without_guidance(graph: dict) -> dict:
    """The same graph with a stock KSampler for each guided one, and each model patch bridged: same seed, same steps."""
    plain = copy.deepcopy(graph)
    for node_id in find(graph, SAMPLER):
        inputs = {name: value for name, value in plain[node_id]["inputs"].items() if name in KSAMPLER_INPUTS}
        plain[node_id] = {"class_type": "KSampler", "inputs": inputs, "_meta": {"title": "KSampler"}}
    for node_id in [found for patch in MODEL_PATCHES for found in find(graph, patch)]:
        model = plain.pop(node_id)["inputs"]["model"]
        for node in plain.values():
            for name, value in node.get("inputs", {}).items():
                if value == [node_id, 0]:
                    node["inputs"][name] = model
    return plain


def _is_link(graph: dict, value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] in graph
