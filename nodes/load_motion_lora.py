"""Load Motion LoRA: what the tuner wrote, in a model that it fits."""

import os
from dataclasses import replace

import comfy.lora
import comfy.utils
import folder_paths
from comfy_api.latest import io

from ..vmt.errors import InputError, check_choice
from ..vmt.lora.files import holds_branch, read
from ..vmt.lora.roles_file import read_mark, same_model
from ..vmt.lora.use import Use, use_in_file
from .host.base_model import base_mark
from .host.model_check import check_wan
from .host.noisy_lora import with_motion_lora

NONE = "none"
AS_LEARNED, ALL = "as learned", "all"


class LoadMotionLora(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        files = [name for name in folder_paths.get_filename_list("loras") if name.endswith(".safetensors")]
        return io.Schema(
            node_id="VMT_LoadMotionLora",
            display_name="Load Motion LoRA",
            category="VMT",
            description="Puts a motion that Decoupled-LoRA Tuner has learned into a model, and its look if you want "
            "it. Says so where the stock loader would leave out what does not fit.",
            inputs=[
                io.Model.Input("model", tooltip="The Wan model that the LoRA was tuned on, or another of its size."),
                io.Combo.Input(
                    "motion_lora", options=files,
                    tooltip="The file ..._motion_... that the tuner wrote, in models/loras or output/loras.",
                ),
                io.Float.Input(
                    "motion_strength", default=1.0, min=-1.5, max=1.5, step=0.05, tooltip="Of the motion. 0: off.",
                ),
                io.Combo.Input(
                    "appearance_lora", options=[NONE, *files], default=NONE,
                    tooltip="The file ..._appearance_... of the same clip, if its look is wanted too.",
                ),
                io.Float.Input(
                    "appearance_strength", default=0.5, min=0.0, max=1.5, step=0.05,
                    tooltip="Of the look; without a file it does nothing.",
                ),
                io.Combo.Input(
                    "noise_levels", options=[AS_LEARNED, ALL], default=AS_LEARNED, optional=True,
                    tooltip="Where the motion works. as learned: at the noise levels of its tuning. all: at all of "
                    "them, as by a stock LoRA loader, which brings more of the clip's look.",
                ),
                io.Float.Input(
                    "flow_strength", default=1.0, min=0.0, max=2.0, step=0.05, optional=True,
                    tooltip="Of the clip's latent flow, if the file holds it: it guides beside the LoRA, without a "
                    "pass through the model. Times motion_strength. 0: the LoRA alone, as by a stock loader.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model with that motion; nothing is copied.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model,
        motion_lora,
        motion_strength,
        appearance_lora=NONE,
        appearance_strength=0.5,
        noise_levels=AS_LEARNED,
        flow_strength=1.0,
    ) -> io.NodeOutput:
        check_choice("noise_levels", noise_levels, (AS_LEARNED, ALL))
        wan, said = check_wan(model), []
        chosen = [("motion", motion_lora, motion_strength), ("appearance", appearance_lora, appearance_strength)]
        for branch, name, strength in chosen:
            if name == NONE or not strength:
                continue
            tensors, about = read(folder_paths.get_full_path_or_raise("loras", name))
            _check(name, tensors, about, branch, model, wan)
            use = use_in_file(about) if branch == "motion" else Use()
            if noise_levels == ALL or not holds_branch(tensors):
                use = replace(use, sigma_end=0.0)
            model = with_motion_lora(model, tensors, strength, use, flow_strength)
            how = f", above noise level {use.sigma_end:g}" if use.sigma_end else ""
            if use.flow and flow_strength:
                how += f", its flow {strength * flow_strength:g}"
            made = f"rank {about.get('rank', 'unknown')}, {about.get('steps', '?')} steps"
            said.append(f"{branch} {strength:g}: {made}{how}")
            base = about.get("base_fingerprint")
            if base and not same_model(read_mark(base), base_mark(model, wan)):
                said.append(f"{name} was tuned on another checkpoint of this size and may come out weaker here")
        return io.NodeOutput(model, ui={"text": ["; ".join(said) or "off"]})

    @classmethod
    def fingerprint_inputs(cls, motion_lora, appearance_lora=NONE, **rest):
        """A file that is tuned anew under its old name is read again."""
        paths = [folder_paths.get_full_path("loras", name) for name in (motion_lora, appearance_lora) if name != NONE]
        return [os.path.getmtime(path) if path else None for path in paths]


def _check(name: str, tensors: dict, about: dict[str, str], branch: str, model, wan) -> None:
    """Raises InputError for the other branch's file, and for one of which something does not fit the model."""
    held = about.get("branch", branch)
    if held != branch:
        raise InputError(
            f"{name} holds the {held} of a clip; {branch}_lora takes its {branch}. Choose the file the tuner wrote as "
            f"..._{branch}_..., or connect this one as {held}_lora."
        )
    places = comfy.lora.model_lora_keys_unet(model.model, {})
    unfit = [key for key, tensor in tensors.items() if not _fits(key, tensor, places, model.model)]
    if unfit or not tensors:
        base = about.get("base_model", "another model, or by another program")
        raise InputError(
            f"{name} was made for {base}; the model is {wan}, and {len(unfit)} of {len(tensors)} tensors do not fit "
            "it. Load the model that it was tuned on, or one of the same size; or tune it again on this one."
        )


def _fits(key: str, tensor, places: dict, base) -> bool:
    place, _, part = key.partition(".lora_")
    if not part:  # alpha, and what is no matrix
        return key.endswith(".alpha") and key.removesuffix(".alpha") in places
    axis = {"down.weight": 1, "A.weight": 1, "up.weight": 0, "B.weight": 0}.get(part)
    if axis is None or place not in places:
        return False
    # Not of the state dict, in which quantised weights have the shape of what they are packed into.
    return tensor.shape[axis] == comfy.utils.get_attr(base, places[place]).shape[axis]
