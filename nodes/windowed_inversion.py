"""Windowed Inversion: what the model sees of a reference clip, measured once."""

import torch
from comfy_api.latest import io

from ..vmt.errors import check_choice
from ..vmt.features import MotionFeatures
from ..vmt.signals.attention_flow import AttentionFlowConfig
from ..vmt.signals.frame_pairs import frame_pairs
from ..vmt.signals.matching import CoarseMatch, coarse_match
from .host.capture import Tap
from .host.device_room import device_with_room
from .host.input_check import check_conditioning, check_reference
from .host.model_check import check_wan, parse_blocks
from .host.reference_pass import MODES, Look, look_at_reference
from .noise_level import noise_level
from .types import Features

ROPES = ("pre", "post")


class WindowedInversion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_WindowedInversion",
            display_name="Windowed Inversion",
            category="VMT",
            description="Looks at the reference clip through the video model and keeps what tells its motion. Runs "
            "once per reference: a new prompt or seed for the result costs nothing.",
            inputs=[
                io.Model.Input("model", tooltip="The Wan model that will sample the new video."),
                io.Latent.Input("reference", tooltip="The reference clip, encoded with the model's VAE."),
                io.Conditioning.Input(
                    "positive",
                    optional=True,
                    tooltip="A caption of the reference. An empty prompt is a good choice. Nothing connected: "
                    "all-zero text features, which is not quite the same as an empty prompt.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default=MODES[0],
                    tooltip="noised_reference: add noise and look, a partial pass, and one at half the height and "
                    "width. ode_inversion: follow the model's own flow back to noise, one full pass per step.",
                ),
                noise_level(
                    "sigma",
                    0.5,
                    "Noise level the reference is looked at. 0.5 shows its motion well; near 1 the model hardly sees "
                    "it.",
                    highest=0.99,
                ),
                io.String.Input(
                    "blocks",
                    default="auto",
                    tooltip="Attention blocks to look at: auto (about the middle), or numbers such as 14 or 12, 14.",
                ),
                io.Int.Input(
                    "noise_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=False,
                    tooltip="Noise added to the reference. Leave it as it is, so that the result is kept between runs.",
                ),
                io.Int.Input("steps", default=20, min=1, max=1000, tooltip="Steps of ode_inversion."),
                io.Combo.Input(
                    "rope",
                    options=list(ROPES),
                    default="pre",
                    tooltip="Compare content without (pre) or with (post) its position in the frame. pre follows "
                    "things further.",
                ),
            ],
            outputs=[
                Features.Output(display_name="features"),
                io.Latent.Output(
                    display_name="inverted",
                    tooltip="The reference at this noise level. KSampler (Advanced) with add_noise off goes on from "
                    "it, if its first step has the same noise level.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, reference, mode, sigma, blocks, noise_seed, steps, rope, positive=None) -> io.NodeOutput:
        check_choice("mode", mode, MODES)
        check_choice("rope", rope, ROPES)
        wan = check_wan(model)
        latent = reference["samples"]
        grid = check_reference(latent, wan)
        tap = Tap(parse_blocks(blocks, wan.num_blocks), wan.num_blocks, grid, rope)
        if positive is None:
            positive = [[torch.zeros(1, 1, wan.text_dim), {}]]
        check_conditioning("The caption", [{**more, "cross_attn": text} for text, more in positive], wan)
        seen, half, inverted = look_at_reference(model, latent, positive, sigma, tap, mode, steps, noise_seed)
        features = _features(seen, rope, str(wan))
        features.half = half and _features(half, rope, str(wan))
        return io.NodeOutput(features, {**_without_mask(reference), "samples": inverted})


def _features(seen: Look, rope: str, model: str) -> MotionFeatures:
    return MotionFeatures(
        seen.grid, seen.queries, seen.keys, rope=rope, sigma=seen.sigma, latent=seen.clean, model=model,
        matches=_matches(seen),
    )  # fmt: skip


def _matches(seen: Look) -> dict[int, CoarseMatch]:
    """Coarse matches, block by block, for the settings that Extract AMF has by default."""
    config, device = AttentionFlowConfig(), device_with_room(seen.queries)
    pairs = frame_pairs(seen.grid.frames, config.span)
    return {
        block: coarse_match(
            seen.queries[block].to(device), seen.keys[block].to(device), pairs, seen.grid, config.temperature
        )
        for block in seen.queries
    }


def _without_mask(latent: dict) -> dict:
    return {name: value for name, value in latent.items() if name != "noise_mask"}
