"""The demo workflow with a model tuned to the reference in the place of guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from ..errors import check_choice
from ..lora.presets import TunerConfig
from . import api_graph
from .demo_graph import DemoGraph

TUNER_NODE = "tuner"
STEPS = ("spatial_steps", "half_steps", "temporal_steps")
AS_PRESET = {**asdict(TunerConfig()), **dict.fromkeys(STEPS, -1), "learning_rate": 0.0}
TUNER = {
    "preset": "standard", "seed": 0, "motion_strength": 1.0, "appearance_strength": 0.0,
    "filename_prefix": "loras/reference",
}  # fmt: skip


def tuned(**options) -> Callable[[DemoGraph], dict]:
    """The graph of a method; the model is tuned on the reference and its caption.

    The host keeps the tuned model for further prompts and seeds of the same reference.

    Args:
        options: inputs of Tuner Options, or of the tuner, that are not as they are by themselves.
    Raises:
        InputError: neither has such an input.
    """
    for name in options:
        check_choice("input of the tuner", name, (*AS_PRESET, *TUNER))

    def graph(demo: DemoGraph) -> dict:
        inversion = demo.full[api_graph.only(demo.full, "VMT_WindowedInversion")]["inputs"]
        encode = demo.full[inversion["reference"][0]]["inputs"]
        changed = api_graph.without_guidance(demo.full)
        sampler = changed[demo.sampler]["inputs"]
        words = changed[sampler["positive"][0]]
        changed["caption"] = {**words, "inputs": {**words["inputs"], "text": demo.caption}}
        rare = {name: options.get(name, value) for name, value in AS_PRESET.items()}
        changed["tuner options"] = {"class_type": "VMT_TunerOptions", "inputs": rare}
        inputs = {
            **{name: options.get(name, value) for name, value in TUNER.items()},
            "model": sampler["model"], "vae": encode["vae"], "frames": encode["pixels"], "positive": ["caption", 0],
            "options": ["tuner options", 0],
        }  # fmt: skip
        changed[TUNER_NODE] = {"class_type": "VMT_DecoupledLoraTuner", "inputs": inputs}
        return api_graph.keep(api_graph.with_input(changed, demo.sampler, "model", [TUNER_NODE, 0]), demo.save)

    return graph


def lora_alone(**options) -> Callable[[DemoGraph], dict]:
    """The same, without the reference's latent flow beside the LoRA."""
    return tuned(latent_flow=False, **options)
