"""What the bench compares: one small file a method, found by its name. Adding one is adding a file with a `METHOD`.

NAME@N, of a method that tunes, is the same with N steps of motion, at half size where it has any: how its correlation
grows with what it costs.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

from ...demo import api_graph
from ...errors import InputError, check_choice
from .method import Method

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "method"))
# Node that tunes -> its inputs, of which the first that is not 0 says how long motion is learned.
STEPS = {"VMT_TunerOptions": ("half_steps", "temporal_steps"), "TrainLoraNode": ("steps",)}


def load(name: str) -> Method:
    """The method of that name. Raises InputError for another one, and for steps of one that has none."""
    name, stepped, steps = name.partition("@")
    check_choice("method", name, NAMES)
    method = importlib.import_module(f".{name}", __name__).METHOD
    return _with_steps(name, method, steps) if stepped else method


def _with_steps(name: str, method: Method, steps: str) -> Method:
    if not (steps.isascii() and steps.isdigit() and int(steps)):
        raise InputError(f"{name}@{steps} was asked for; NAME@N, N steps of 1 or more, is allowed. Change it.")
    if not method.tunes:
        raise InputError(
            f"{name}@{steps} was asked for, but {name} does not tune and has no steps. Leave @{steps} out."
        )

    def graph(demo):
        made = method.graph(demo)
        tuner = next(node_id for node_id, node in made.items() if node["class_type"] in STEPS)
        given = made[tuner]["inputs"]
        name = next(name for name in STEPS[made[tuner]["class_type"]] if given[name])
        return api_graph.with_input(made, tuner, name, int(steps))

    return replace(method, about=f"{method.about}; {steps} steps of motion", graph=graph)
