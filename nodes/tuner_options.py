"""Tuner Options: the settings of Decoupled-LoRA Tuner that are rarely changed."""

from comfy_api.latest import io

from ..vmt.lora.losses import DIRECTIONS, WEIGHTS
from ..vmt.lora.positions import ROPES
from ..vmt.lora.presets import HEADS, TunerConfig
from ..vmt.lora.sparse_frames import SPARSE
from .noise_level import noise_level
from .types import TunerOptions as TunerOptionsType

DEFAULT = TunerConfig()
AS_PRESET = -1


class TunerOptions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_TunerOptions",
            display_name="Tuner Options",
            category="VMT",
            description="Rare settings of Decoupled-LoRA Tuner. It works well without this node.",
            inputs=[
                io.Int.Input(
                    "spatial_steps", default=AS_PRESET, min=AS_PRESET, max=100000,
                    tooltip="On single frames, for the look; 0: leave it out. -1: as the preset has it.",
                ),
                io.Int.Input(
                    "temporal_steps", default=AS_PRESET, min=AS_PRESET, max=100000,
                    tooltip="At the whole size, on the thinned-out clip, after those at half size. -1: as the "
                    "preset has it.",
                ),
                io.Float.Input(
                    "learning_rate", default=0.0, min=0.0, max=0.1, step=0.00001, round=0.000001,
                    tooltip="Of both. 0: as the preset has it.",
                ),
                io.Int.Input("rank", default=DEFAULT.rank, min=1, max=256, tooltip="Size of the LoRAs."),
                io.Combo.Input(
                    "heads", options=list(HEADS), default=DEFAULT.heads,
                    tooltip="all: look and motion both in every attention head. decoupled: each in heads of its own, "
                    "as published; ways that turn are followed less.",
                ),
                io.Int.Input(
                    "stride", default=DEFAULT.stride, min=0, max=64,
                    tooltip="Learn from every so many frames. Larger is faster and misses quick motion. 0: about what "
                    "17 frames take.",
                ),
                io.Int.Input(
                    "stills", default=DEFAULT.stills, min=1, max=64,
                    tooltip="Single frames that the look is learned from.",
                ),
                io.Int.Input(
                    "phases", default=DEFAULT.phases, min=1, max=16,
                    tooltip="With sparse: frames, how many different choices of the frames between the ends are "
                    "learned from, as far as the stride has so many.",
                ),
                io.Combo.Input(
                    "rope", options=list(ROPES), default=DEFAULT.rope,
                    tooltip="Where what is left of a clip sits in the whole one: thinned-out frames in time, tokens of "
                    "half size in the frame. ends: where the full clip has them; of further phases, off by up to half "
                    "a distance. tokens: the paper's ratio. none: close together, so that the motion comes out too "
                    "fast, and too short at half size.",
                ),
                io.Float.Input(
                    "motion_weight", default=DEFAULT.motion_weight, min=0.0, max=10.0, step=0.1,
                    tooltip="Of the loss that compares the change from frame to frame; 0: none.",
                ),
                io.Combo.Input(
                    "motion_loss", options=list(DIRECTIONS), default=DEFAULT.motion_loss,
                    tooltip="signed: the direction of change. as_released: the published code's, which cannot tell a "
                    "direction from its opposite.",
                ),
                io.Combo.Input(
                    "level_weights", options=list(WEIGHTS), default=DEFAULT.level_weights,
                    tooltip="flat: all noise levels count alike. as_released: the published code's, which leaves out "
                    "those near pure noise, where motion is decided.",
                ),
                io.Boolean.Input(
                    "spatial_on", default=DEFAULT.spatial_on,
                    tooltip="Let the look stand while the motion is learned, so that the motion need not hold it.",
                ),
                io.Int.Input(
                    "patience", default=DEFAULT.patience, min=0, max=1000,
                    tooltip="End a stage after so many looks at held-out noise (every 25 steps) without a lower loss; "
                    "0: never.",
                ),
                noise_level(
                    "sigma_end", DEFAULT.sigma_end,
                    "Learn the motion at noise levels down to this one. 0: at all of them.", highest=0.99,
                ),
                io.Int.Input(
                    "appearance_rank", default=DEFAULT.appearance_rank, min=0, max=256,
                    tooltip="Size of the appearance LoRA; rank is then that of the motion LoRA. 0: as rank.",
                ),
                io.Combo.Input(
                    "sparse", options=list(SPARSE), default=DEFAULT.sparse, optional=True,
                    tooltip="What the stride thins out. latents: the clip after the VAE; what stays is as in the whole "
                    "clip. frames: the video before it, as published; within a latent frame all is then faster.",
                ),
                io.Int.Input(
                    "half_steps", default=AS_PRESET, min=AS_PRESET, max=100000, optional=True,
                    tooltip="On the clip at half its height and width, every frame: a fourth of the operations or "
                    "less. 0: leave them out. -1: as the preset has it.",
                ),
                io.Boolean.Input(
                    "latent_flow", default=DEFAULT.latent_flow, optional=True,
                    tooltip="Keep the latent flow of the clip in the file, and let it guide beside the motion LoRA: "
                    "without a pass through the model, cameras and ways that turn are followed too. Off: the LoRA "
                    "alone. Tuning is the same.",
                ),
            ],
            outputs=[TunerOptionsType.Output(display_name="options")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, spatial_steps, temporal_steps, learning_rate, half_steps=AS_PRESET, **settings
    ) -> io.NodeOutput:  # fmt: skip
        steps = {"spatial_steps": spatial_steps, "temporal_steps": temporal_steps, "half_steps": half_steps}
        settings |= {name: number for name, number in steps.items() if number != AS_PRESET}
        return io.NodeOutput(settings | ({"learning_rate": learning_rate} if learning_rate else {}))
