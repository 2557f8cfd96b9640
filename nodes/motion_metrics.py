"""Motion Metrics: does the result move as its reference does, and what else came over."""

import json

from comfy_api.latest import io, ui

from ..vmt.metrics.motion_report import in_words, report_motion
from ..vmt.metrics.track_picture import draw_tracks
from .host.node_text import show_on_node


class MotionMetrics(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_MotionMetrics",
            display_name="Motion Metrics",
            category="VMT",
            description="Compares a result with the clip whose motion it was to take: path, speed, camera, leakage and "
            "steadiness, in numbers, in words and as a picture of both sets of tracks. No model is needed.",
            inputs=[
                io.Image.Input("reference", tooltip="Frames of the reference, from Load Reference Video."),
                io.Image.Input(
                    "output", tooltip="Frames of the result, from VAE Decode: as many and as large as the reference's."
                ),
                io.Image.Input(
                    "unguided",
                    optional=True,
                    tooltip="Frames of the same prompt and seed without guidance. With them, leakage can be told: how "
                    "much of the reference's look came over with its motion.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="A few lines that say what the figures mean."),
                io.String.Output(display_name="figures", tooltip="All figures as JSON; null where one is undefined."),
                io.Image.Output(
                    display_name="tracks", tooltip="The result with its tracks and those of the reference."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, reference, output, unguided=None) -> io.NodeOutput:
        report = report_motion(reference, output, unguided)
        text, tracks = in_words(report.figures), draw_tracks(report, output)
        show_on_node(text)
        shown = {**ui.PreviewImage(tracks, cls=cls).as_dict(), **ui.PreviewText(text).as_dict()}
        return io.NodeOutput(text, json.dumps(report.figures, indent=1), tracks, ui=shown)
