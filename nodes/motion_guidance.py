"""Motion Guidance: a model that follows the motion of a reference, whichever sampler it is given to."""

import logging
from dataclasses import replace

from comfy_api.latest import io

from ..vmt.errors import check_choice
from ..vmt.guidance.config import GuidanceConfig
from ..vmt.guidance.presets import PRESETS, Preset
from ..vmt.guidance.trust import attention_trust, moves_whole
from ..vmt.signals.attention_flow import AttentionFlow, mask_of_pairs
from .guidance_options import AUTO, RareOptions
from .host.attention_guidance import attach_attention_guidance
from .host.latent_guidance import attach_latent_guidance
from .host.model_check import check_wan, parse_blocks
from .noise_level import noise_level
from .region_mask import mask_on_tokens
from .types import AMF
from .types import GuidanceOptions as GuidanceOptionsType

DEFAULT = GuidanceConfig()
CUSTOM = "custom"


def guidance_inputs() -> list:
    """Inputs that Motion Guidance and Motion Guidance Sampler share."""
    return [
        AMF.Input(
            "amf", optional=True, tooltip="The motion to follow, from Extract AMF. Nothing connected: no guidance."
        ),
        GuidanceOptionsType.Input("options", optional=True, tooltip="Rare settings, from Motion Guidance Options."),
        io.Mask.Input(
            "region",
            optional=True,
            tooltip="Follow the reference only where this mask is white: one mask, or one per frame of the reference.",
        ),
        io.Float.Input(
            "strength",
            default=DEFAULT.strength,
            min=0.0,
            max=1.0,
            step=0.005,
            tooltip="How far one inner step moves the video. 0: no guidance. Too much spoils colours and shapes. "
            "Presets are tuned for 0.04, and are weaker below and stronger above.",
        ),
        noise_level(
            "sigma_start",
            DEFAULT.sigma_start,
            "Guide from this noise level on. 1 is the first step; without look_ahead begin at 0.96, above "
            "which the video is noise and shows no motion.",
        ),
        noise_level(
            "sigma_end",
            DEFAULT.sigma_end,
            "Guide down to this noise level. Lower binds the video more tightly to the reference.",
        ),
        io.Int.Input(
            "inner_steps",
            default=DEFAULT.inner_steps,
            min=0,
            max=100,
            tooltip="Moves of the video at each guided sampling step. Time grows with it.",
        ),
        io.Int.Input(
            "recompute_every",
            default=DEFAULT.recompute_every,
            min=1,
            max=100,
            tooltip="Gradient skip: compute the direction anew only at every n-th inner step. 1 takes nearly twice the "
            "time of 2; from 3 on the motion may be followed less well.",
        ),
        io.Boolean.Input(
            "look_ahead",
            default=DEFAULT.look_ahead,
            optional=True,
            tooltip="Read the motion in the video that is predicted at this step, where it shows more clearly than in "
            "the noise. One more pass through the model for each gradient.",
        ),
        io.Combo.Input(
            "preset",
            options=[*PRESETS, CUSTOM],
            default="balanced",
            optional=True,
            tooltip="; ".join(f"{name}: {preset.about}" for name, preset in PRESETS.items())
            + ". custom: by the values above, which but for strength count with it only, and Motion Guidance Options.",
        ),
    ]


def guided_model(
    model, strength, sigma_start, sigma_end, inner_steps, recompute_every, amf=None, options=None, region=None,
    look_ahead=DEFAULT.look_ahead, preset=CUSTOM,
):  # fmt: skip
    """A clone of the model that follows `amf`; see `attach_attention_guidance` and `attach_latent_guidance`.

    A preset takes the place of other settings; strength scales it, and the options' blocks, checkpoint and size count.
    """
    check_choice("preset", preset, (*PRESETS, CUSTOM))
    options = options or RareOptions()
    blocks = None
    if options.blocks.strip().lower() not in ("all", "") and amf is not None:
        blocks = parse_blocks(options.blocks, check_wan(model).num_blocks)
    if preset == CUSTOM:
        common = {"sigma_start": sigma_start, "update": options.update, "loss_floor": options.loss_floor,
                  "smoothing": options.smoothing}  # fmt: skip
        chosen = Preset(
            CUSTOM,
            GuidanceConfig(
                strength=strength, sigma_end=sigma_end, inner_steps=inner_steps, recompute_every=recompute_every,
                strength_decay=options.strength_decay, look_ahead=look_ahead, share_forward=options.share_forward,
                max_steps=options.max_steps, reuse_steps=options.reuse_steps, turn=options.turn,
                window_share=options.window_share, both_ways=options.both_ways, **common,
            ),
            GuidanceConfig(
                strength=options.latent_strength if strength else 0.0,  # 0 is the plain model, whatever the options
                sigma_end=min(options.latent_end, sigma_start),
                inner_steps=options.latent_steps, recompute_every=1, **common,
            ),
        )  # fmt: skip
    else:
        chosen = PRESETS[preset].scaled(strength / DEFAULT.strength)
    attention = replace(chosen.attention, blocks=blocks)
    if options.size != AUTO:
        attention = replace(attention, size=options.size)
    elif amf is not None and amf.half is None:  # frames too small to be halved
        attention = replace(attention, size="full")
    chosen = replace(chosen, attention=attention)
    if preset != CUSTOM and amf is not None:
        chosen = _trusting(chosen, amf.of_blocks(blocks))
    mask = None
    if region is not None and amf is not None:
        mask = mask_on_tokens(region, amf.grid)
        mask_of_pairs(mask, amf.grid, amf.pairs)  # refuses here what would fail in the midst of a run
    model = attach_latent_guidance(model, amf and amf.latent, chosen.latent, mask)
    return attach_attention_guidance(model, amf, chosen.attention, options.checkpoint, mask)


def _trusting(preset: Preset, amf: AttentionFlow) -> Preset:
    if preset.attention.is_off:
        return preset
    trust = attention_trust(amf, half=preset.attention.size == "half")
    if trust < 1:
        logging.info(
            "[VMT] Attention does not show all that moves in the reference, a camera perhaps: it guides by "
            f"{100 * trust:.0f} %, and latent flow the more."
        )
    return preset.trusting(trust, moves_whole(amf.latent))


class MotionGuidance(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_MotionGuidance",
            display_name="Motion Guidance",
            category="VMT",
            description="Makes a Wan model follow the motion of a reference. Place it last on the MODEL line, before "
            "KSampler, KSampler (Advanced) or SamplerCustomAdvanced; euler and euler_ancestral suit it best.",
            inputs=[io.Model.Input("model", tooltip="A Wan model."), *guidance_inputs()],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, **settings) -> io.NodeOutput:
        return io.NodeOutput(guided_model(model, **settings))
