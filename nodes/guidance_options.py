"""Guidance Options: the settings of Motion Guidance that are rarely changed."""

from dataclasses import dataclass

from comfy_api.latest import io

from ..vmt.errors import check_choice
from ..vmt.guidance.config import UPDATES, GuidanceConfig
from .types import GuidanceOptions as GuidanceOptionsType

DEFAULT = GuidanceConfig()
CHECKPOINTS = ("auto", "none", "block")


@dataclass(frozen=True)
class RareOptions:
    """What Guidance Options hands on; its defaults are those of a Motion Guidance without it."""

    update: str = DEFAULT.update
    strength_decay: float = DEFAULT.strength_decay
    loss_floor: float = DEFAULT.loss_floor
    blocks: str = "all"
    checkpoint: str = "auto"


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
                    options=list(CHECKPOINTS),
                    default="auto",
                    tooltip="block: less memory, about a third slower, same result. none: keep everything. auto: block "
                    "if memory is short.",
                ),
            ],
            outputs=[GuidanceOptionsType.Output(display_name="options")],
        )

    @classmethod
    def execute(cls, update, strength_decay, loss_floor, blocks, checkpoint) -> io.NodeOutput:
        check_choice("checkpoint", checkpoint, CHECKPOINTS)
        return io.NodeOutput(RareOptions(update, strength_decay, loss_floor, blocks, checkpoint))
