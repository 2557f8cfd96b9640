"""Motion Metrics: does the result move as its reference does, and what else came over."""

import json
from functools import partial

import comfy.utils
from comfy_api.latest import io, ui

from ..vmt.errors import InputError
from ..vmt.metrics.clip_scores import clip_scores
from .host.clip_embeddings import embed_frames, embed_text
from .host.node_text import show_on_node
from .host.opencv import check_opencv


class MotionMetrics(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_MotionMetrics",
            display_name="Motion Metrics",
            category="VMT",
            description="Compares a result with the clip whose motion it was to take: path, speed, camera, leakage and "
            "steadiness, in numbers, in words and as a picture of both sets of tracks. No model is needed; a CLIP adds "
            "how well the result shows its prompt.",
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
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="From Load CLIP Vision. With it, how much the frames of the result stay the same thing.",
                ),
                io.Conditioning.Input(
                    "text",
                    optional=True,
                    tooltip="The prompt, encoded by the text encoder of that CLIP. With it, how well it is shown.",
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
    def execute(cls, reference, output, unguided=None, clip_vision=None, text=None) -> io.NodeOutput:
        check_opencv()
        from ..vmt.metrics.motion_report import PASSES, in_words, report_motion
        from ..vmt.metrics.track_picture import draw_tracks

        if text is not None and clip_vision is None:
            raise InputError("A text is connected and no clip_vision; both are needed. Connect Load CLIP Vision.")
        bar = comfy.utils.ProgressBar(2 * PASSES * (len(output) - 1))
        report = report_motion(reference, output, unguided, on_step=partial(bar.update, 1))
        figures = report.figures
        if clip_vision is not None:
            prompt = None if text is None else embed_text(text)
            figures = figures | clip_scores(embed_frames(clip_vision, output), prompt)
        words, tracks, told = in_words(figures), draw_tracks(report, output), json.dumps(figures, indent=1)
        show_on_node(words)
        shown = {**ui.PreviewImage(tracks, cls=cls).as_dict(), **ui.PreviewText(words).as_dict(), "figures": [told]}
        return io.NodeOutput(words, told, tracks, ui=shown)
