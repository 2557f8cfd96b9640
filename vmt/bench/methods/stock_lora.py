"""A LoRA of the whole clip by the host's own trainer, Train LoRA, as many steps as `plain_lora` makes.

It is here for its time and memory. What it learns is no match: the host divides its update by the rank (alpha is 1),
which makes it a sixteenth of ours at the same learning rate.

Its outputs are those of ComfyUI 0.3.75, the host that this repository fetches; current ones gave the model up as an
output. That host takes no single latent, so it is given the same clip twice.
"""

from ...demo import api_graph
from ...demo.demo_graph import DemoGraph
from ...demo.tuned_graph import TUNER_NODE, tuned
from ...lora.presets import PRESETS
from . import plain_lora
from .method import Method

SETTINGS = {
    "batch_size": 1, "grad_accumulation_steps": 1, "steps": plain_lora.OPTIONS["temporal_steps"],
    "learning_rate": PRESETS["standard"].learning_rate, "rank": 16, "optimizer": "AdamW", "loss_function": "MSE",
    "seed": 0, "training_dtype": "fp32", "lora_dtype": "fp32", "algorithm": "LoRA", "gradient_checkpointing": True,
    "existing_lora": "[None]",
}  # fmt: skip


def graph(demo: DemoGraph) -> dict:
    changed = tuned()(demo)
    ours = changed[TUNER_NODE]["inputs"]
    changed["clip"] = {"class_type": "VAEEncode", "inputs": {"pixels": ours["frames"], "vae": ours["vae"]}}
    changed["twice"] = {"class_type": "LatentBatch", "inputs": {"samples1": ["clip", 0], "samples2": ["clip", 0]}}
    changed["each"] = {"class_type": "RebatchLatents", "inputs": {"latents": ["twice", 0], "batch_size": 1}}
    inputs = {"model": ours["model"], "latents": ["each", 0], "positive": ours["positive"], **SETTINGS}
    changed[TUNER_NODE] = {"class_type": "TrainLoraNode", "inputs": inputs}
    return api_graph.keep(changed, demo.save)


METHOD = Method(
    "a LoRA by the host's own Train LoRA on every frame of the reference: a row of time and memory, for its update is "
    "scaled by 1/16",
    graph,
    tunes=True,
)
