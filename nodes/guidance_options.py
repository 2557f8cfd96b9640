"""Guidance Options: the settings of Motion Guidance that are rarely changed."""

from dataclasses import dataclass

from comfy_api.latest import io

from ..vmt.errors import check_choice
from ..vmt.guidance.config import SIZES, UPDATES, GuidanceConfig
from ..vmt.guidance.presets import LATENT
from .host.checkpoint import CHECKPOINTS
from .noise_level import noise_level
from .types import GuidanceOptions as GuidanceOptionsType

DEFAULT = GuidanceConfig()
AUTO = "auto"  # as the preset has it


@dataclass(frozen=True)
class RareOptions:
    """What Guidance Options hands on; its defaults are those of a Motion Guidance without it."""

    update: str = DEFAULT.update
    strength_decay: float = DEFAULT.strength_decay
    loss_floor: float = DEFAULT.loss_floor
    blocks: str = "all"
    checkpoint: str = "auto"
    smoothing: float = DEFAULT.smoothing
    share_forward: bool = DEFAULT.share_forward
    max_steps: int = DEFAULT.max_steps
    latent_steps: int = 0
    latent_strength: float = LATENT.strength
    reuse_steps: int = DEFAULT.reuse_steps
    turn: float = DEFAULT.turn
    window_share: float = DEFAULT.window_share
    size: str = AUTO
    both_ways: bool = DEFAULT.both_ways
    latent_end: float = LATENT.sigma_end


class GuidanceOptions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_GuidanceOptions",
            display_name="Motion Guidance Options",
            category="VMT",
            description="Rare settings of Motion Guidance. It works well without this node.",
            inputs=[
                io.Combo.Input(
                    "update",
                    options=list(UPDATES),
                    default=DEFAULT.update,
                    tooltip="How the video is moved. rms: along the gradient, by a fixed average size. adam: the "
                    "published rule (strength about 0.003, 10 inner steps). sign: every value by the same size.",
                ),
                io.Float.Input(
                    "strength_decay",
                    default=DEFAULT.strength_decay,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much smaller the last inner step is than the first; 0: all alike.",
                ),
                io.Float.Input(
                    "loss_floor",
                    default=DEFAULT.loss_floor,
                    min=0.0,
                    max=1.0,
                    step=1e-9,
                    tooltip="A video whose motion is off by less than this is left alone.",
                ),
                io.String.Input(
                    "blocks",
                    default="all",
                    tooltip="Which of the blocks that the AMF was taken on to use: all, or numbers such as 14.",
                ),
                io.Combo.Input(
                    "checkpoint",
                    options=["auto", *CHECKPOINTS],
                    default="auto",
                    tooltip="What the gradient keeps of the model's work; the result is the same. none: everything. "
                    "selective: results of attention, the rest is computed again. block: next to nothing. auto: as "
                    "much as fits.",
                ),
                io.Float.Input(
                    "smoothing",
                    default=DEFAULT.smoothing,
                    min=0.0,
                    max=16.0,
                    step=0.1,
                    optional=True,
                    tooltip="Blur of the direction in which the video is moved, in cells of 8 pixels. 0.7 makes a step "
                    "do more.",
                ),
                io.Boolean.Input(
                    "share_forward",
                    default=DEFAULT.share_forward,
                    optional=True,
                    tooltip="Look ahead by what the sampler predicted at its last step, instead of by a pass through "
                    "the model of its own.",
                ),
                io.Int.Input(
                    "max_steps",
                    default=DEFAULT.max_steps,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="Guide by attention at so many sampling steps at most, spread over the range. 0: all of "
                    "them.",
                ),
                io.Int.Input(
                    "latent_steps",
                    default=0,
                    min=0,
                    max=100,
                    optional=True,
                    tooltip="Moves by the latent flow at each sampling step of the range; no pass through the model. "
                    "0: none.",
                ),
                io.Float.Input(
                    "latent_strength",
                    default=LATENT.strength,
                    min=0.0,
                    max=1.0,
                    step=0.005,
                    optional=True,
                    tooltip="How far one of these moves the video.",
                ),
                io.Int.Input(
                    "reuse_steps",
                    default=DEFAULT.reuse_steps,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="Gradient skip across sampling steps: a direction serves so many further steps too, as "
                    "long as the predicted motion has not turned. 0: each guided step computes its own.",
                ),
                io.Float.Input(
                    "turn",
                    default=DEFAULT.turn,
                    min=-1.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="With reuse_steps: cosine between the predicted motion then and now, below which it has "
                    "turned.",
                ),
                io.Float.Input(
                    "window_share",
                    default=DEFAULT.window_share,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    optional=True,
                    tooltip="FastVMT's corresponding-window loss beside the AMF's: what lies in the windows should "
                    "change little over time. By length of the gradients; published is about 0.2. 0: off.",
                ),
                io.Combo.Input(
                    "size",
                    options=[AUTO, *SIZES],
                    default=AUTO,
                    optional=True,
                    tooltip="Size of the video at which attention reads the motion. half: a fourth of the memory, and "
                    "a tenth to a fourth of the operations; small movements are seen less well. auto: as the preset "
                    "has it, full with custom.",
                ),
                io.Boolean.Input(
                    "both_ways",
                    default=DEFAULT.both_ways,
                    optional=True,
                    tooltip="Read attention from frame to frame and back; half the difference counts. A window leans "
                    "inwards at the borders of a frame, there and back alike.",
                ),
                noise_level(
                    "latent_end",
                    LATENT.sigma_end,
                    "Follow the latent flow down to this noise level. A camera's motion wants a lower one than things "
                    "do.",
                    optional=True,
                ),
            ],
            outputs=[GuidanceOptionsType.Output(display_name="options")],
        )

    @classmethod
    def execute(cls, **settings) -> io.NodeOutput:
        check_choice("checkpoint", settings["checkpoint"], ("auto", *CHECKPOINTS))
        check_choice("size", settings.get("size", AUTO), (AUTO, *SIZES))
        return io.NodeOutput(RareOptions(**settings))
