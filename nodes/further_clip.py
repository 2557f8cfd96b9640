"""Further Clip: one more clip that moves like the reference, for Decoupled-LoRA Tuner."""

from comfy_api.latest import io

from .host.tuning_clips import CaptionedClip, check_frames
from .types import FurtherClips


class FurtherClip(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_FurtherClip",
            display_name="Further Clip",
            category="VMT",
            description="A clip of something else with the same motion, such as a guided video: learned beside the "
            "reference, it leaves the motion as all that they have in common.",
            inputs=[
                io.Image.Input("frames", tooltip="As many as the reference has, and as large."),
                io.Conditioning.Input("positive", tooltip="The prompt of a guided video, or a caption of the clip."),
                FurtherClips.Input("further_clips", optional=True, tooltip="From another Further Clip."),
            ],
            outputs=[FurtherClips.Output(display_name="further_clips", tooltip="For Decoupled-LoRA Tuner.")],
        )

    @classmethod
    def execute(cls, frames, positive, further_clips=()) -> io.NodeOutput:
        check_frames(frames)
        return io.NodeOutput((*further_clips, CaptionedClip(frames, positive)))
