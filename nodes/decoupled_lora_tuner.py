"""Decoupled-LoRA Tuner: a small LoRA file that holds the motion of one clip."""

import glob
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import comfy.sd
import folder_paths
import torch
from comfy_api.latest import io

from ..vmt.errors import InputError, check_choice
from ..vmt.lora.branches import SPATIAL, TEMPORAL
from ..vmt.lora.files import state_dict, write
from ..vmt.lora.presets import PRESETS
from ..vmt.lora.roles_picture import draw_roles
from ..vmt.lora.use import Use
from ..vmt.whole_file import drop_partials
from .host.input_check import check_conditioning, check_whole_run
from .host.model_check import check_wan
from .host.noisy_lora import with_motion_lora
from .host.tuning import Tuned, check_ranks, check_tunable, tune_clips
from .host.tuning_clips import CaptionedClip, check_frames, check_further, encode_clips
from .types import FurtherClips, TunerOptions

NAMES = {TEMPORAL: "motion", SPATIAL: "appearance"}


class DecoupledLoraTuner(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_DecoupledLoraTuner",
            display_name="Decoupled-LoRA Tuner",
            category="VMT",
            description="Learns the motion of one clip as a small LoRA, apart from its look, which becomes a second "
            "one. Pay once: afterwards a video costs what a plain one costs.",
            inputs=[
                io.Model.Input("model", tooltip="A Wan text-to-video model. It is not changed."),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the model."),
                io.Image.Input("frames", tooltip="The frames of the clip, from Load Reference Video."),
                io.Conditioning.Input("positive", tooltip="A caption of the clip: what it shows, not how it moves."),
                io.Combo.Input(
                    "preset", options=list(PRESETS), default="standard",
                    tooltip="draft: begin with it. standard: 2.6 times as long. thorough: 8 times as long.",
                ),
                io.Int.Input(
                    "seed", default=0, min=0, max=0xFFFFFFFF, control_after_generate=False,
                    tooltip="Noise and starting weights. Leave it as it is, so that the result is kept between runs.",
                ),
                io.Float.Input(
                    "motion_strength", default=1.0, min=0.0, max=1.5, step=0.05,
                    tooltip="Of the motion in the model that comes out.",
                ),
                io.Float.Input(
                    "appearance_strength", default=0.0, min=0.0, max=1.0, step=0.05,
                    tooltip="Of the clip's look in the model that comes out; 0 leaves the look to your prompt.",
                ),
                io.String.Input(
                    "filename_prefix", default="loras/vmt",
                    tooltip="Files under the output folder: PREFIX_motion and PREFIX_appearance. In loras/ the stock "
                    "LoRA loaders list them.",
                ),
                TunerOptions.Input("options", optional=True, tooltip="From Tuner Options: rare settings."),
                FurtherClips.Input(
                    "further_clips", optional=True,
                    tooltip="From Further Clip: clips of other things with the same motion, such as guided videos. The "
                    "motion is then learned with less of any look.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with both LoRAs at these strengths."),
                io.LoraModel.Output(display_name="motion_lora", tooltip="For Load LoRA Model or Save LoRA Weights."),
                io.LoraModel.Output(display_name="appearance_lora", tooltip="The look of the clip."),
                io.LossMap.Output(display_name="loss_map", tooltip="For Plot Loss Graph."),
                io.Image.Output(
                    display_name="heads", tooltip="What the model's attention heads do: blue within a frame, orange "
                    "across time.",
                ),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, vae, frames, positive, preset, seed, motion_strength, appearance_strength, filename_prefix,
        options=None, further_clips=(),
    ) -> io.NodeOutput:  # fmt: skip
        check_choice("preset", preset, PRESETS)
        config = replace(PRESETS[preset], **(options or {}))
        wan = check_wan(model)
        check_tunable(model, wan)
        check_frames(frames)
        clips = [CaptionedClip(frames, positive), *further_clips]
        for number, clip in enumerate(clips):
            check_further(number, clip.frames, frames)
            name = f"The caption of further clip {number}" if number else "The caption"
            check_conditioning(name, [{**more, "cross_attn": text} for text, more in clip.positive], wan)
            check_whole_run(name, clip.positive)
        check_ranks(model, wan, config)
        targets = _targets(filename_prefix)
        captions = [clip.positive for clip in clips]
        tuned = tune_clips(model, wan, captions, encode_clips(vae, clips, config, seed), config, seed)
        use = tuned.use if config.latent_flow else replace(tuned.use, flow=None)
        loras = {name: _saved(tuned, name, use, targets[name]) if name in tuned.branches else {} for name in NAMES}
        with suppress(OSError):
            tuned.checkpoint.unlink()  # not before: a full disk must not cost what was learned
        if motion_strength and loras[TEMPORAL]:
            model = with_motion_lora(model, loras[TEMPORAL], motion_strength, use)
        if appearance_strength and loras[SPATIAL]:
            model, _ = comfy.sd.load_lora_for_models(model, None, loras[SPATIAL], appearance_strength, 0)
        files = [targets[name].name for name in tuned.branches]
        held_out = ", ".join(f"{NAMES[branch]} {loss:.3f}" for branch, loss in tuned.held_out.items())
        said = f"{tuned.roles}; {len(tuned.losses)} steps, held-out loss: {held_out}"
        return io.NodeOutput(
            model, loras[TEMPORAL], loras[SPATIAL], {"loss": tuned.losses}, draw_roles(tuned.roles),
            ui={"text": [f"{said}. {', '.join(files)}"]},
        )  # fmt: skip


def _targets(prefix: str) -> dict[str, Path]:
    """A file for each branch, both of the same number, the first that neither has.

    Raises:
        InputError: there is no such folder, and none can be made.
    """
    output = folder_paths.get_output_directory()
    try:
        places = {
            branch: folder_paths.get_save_image_path(f"{prefix}_{name}", output) for branch, name in NAMES.items()
        }
    except OSError as error:
        raise InputError(
            f"filename_prefix is {prefix!r}, whose folder cannot be made or read ({error.strerror or error}); a folder "
            "under the output folder that may be written to is needed. Choose another prefix, or change that folder."
        ) from error
    for folder, name, *_ in places.values():
        drop_partials(Path(folder), f"{glob.escape(name)}_*")
    counter = max(place[2] for place in places.values())
    return {branch: Path(folder) / f"{name}_{counter:05}_.safetensors" for branch, (folder, name, *_) in places.items()}


def _saved(tuned: Tuned, name: str, use: Use, target: Path) -> dict[str, torch.Tensor]:
    tensors = state_dict(tuned.branches[name])
    write(target, tensors, {**tuned.about[name], "branch": NAMES[name], **(use.written() if name == TEMPORAL else {})})
    return tensors
