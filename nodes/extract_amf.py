"""Extract AMF: the motion of the reference as displacements between its frames."""

import torch
from comfy_api.latest import io, ui

from ..vmt.flow_picture import STYLES, draw_displacement
from ..vmt.signals.attention_flow import CENTRES, AttentionFlowConfig, extract
from ..vmt.signals.latent_flow import extract_latent_flow
from ..vmt.signals.weights import WEIGHTS
from .host.device_room import device_with_room
from .types import AMF, Features

DEFAULT = AttentionFlowConfig()
WHOLE_FRAME = -1


class ExtractAMF(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_ExtractAMF",
            display_name="Extract AMF",
            category="VMT",
            description="Attention motion flow: where each part of the reference moves from frame to frame, in tokens "
            "of 16 pixels, with a picture to check it by eye.",
            inputs=[
                Features.Input("features", tooltip="From Windowed Inversion."),
                io.Image.Input(
                    "reference_frames",
                    optional=True,
                    tooltip="The frames of the reference, to draw the picture on. Nothing connected: a grey ground.",
                ),
                io.Int.Input(
                    "span",
                    default=DEFAULT.span,
                    min=1,
                    max=32,
                    tooltip="Compare each latent frame with this many that follow. 1 keeps the speed, more the path.",
                ),
                io.Int.Input(
                    "radius",
                    default=WHOLE_FRAME if DEFAULT.radius is None else DEFAULT.radius,
                    min=WHOLE_FRAME,
                    max=256,
                    tooltip="Half the side of the window in which a match is read, in tokens. Larger for fast motion "
                    "and large videos (10 at 480p); -1: the whole frame.",
                ),
                io.Float.Input(
                    "temperature",
                    default=DEFAULT.temperature,
                    min=0.01,
                    max=100.0,
                    step=0.05,
                    tooltip="Sharpness of a match: higher follows the best match, lower averages over the window.",
                ),
                io.Combo.Input(
                    "weight",
                    options=list(WEIGHTS),
                    default=DEFAULT.weight,
                    tooltip="What counts more. motion: what moves. confidence: what is matched with certainty. none: "
                    "every part alike.",
                ),
                io.Combo.Input(
                    "heads",
                    options=["mean_logits", "mean_flow"],
                    default=DEFAULT.heads,
                    tooltip="Average the attention heads before (mean_logits) or after (mean_flow) reading the motion.",
                ),
                io.Combo.Input(
                    "target",
                    options=["soft", "argmax"],
                    default=DEFAULT.target,
                    tooltip="Displacement of the reference: average over the window (soft) or best match (argmax).",
                ),
                io.Int.Input(
                    "tile_rows",
                    default=DEFAULT.tile[0],
                    min=1,
                    max=64,
                    tooltip="Height in tokens of the tiles that share a window. 1 suits small videos, 3 large ones.",
                ),
                io.Int.Input(
                    "tile_columns", default=DEFAULT.tile[1], min=1, max=64, tooltip="Width in tokens of these tiles."
                ),
                io.Combo.Input(
                    "picture",
                    options=list(STYLES),
                    default=STYLES[0],
                    tooltip="Draw arrows, or colours for the direction.",
                ),
                io.Combo.Input(
                    "centre",
                    options=list(CENTRES),
                    default=DEFAULT.centre,
                    optional=True,
                    tooltip="Where a window lies. match: around the best match. own: around the part's own place. "
                    "trusted: around the match where it is clearly better than standing still.",
                ),
            ],
            outputs=[
                AMF.Output(display_name="amf"),
                io.Image.Output(
                    display_name="picture", tooltip="The motion from each latent frame to the next, over the reference."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, features, span, radius, temperature, weight, heads, target, tile_rows, tile_columns, picture,
        reference_frames=None, centre=DEFAULT.centre,
    ) -> io.NodeOutput:  # fmt: skip
        config = AttentionFlowConfig(
            temperature=temperature, span=span, radius=None if radius == WHOLE_FRAME else radius,
            tile=(tile_rows, tile_columns), heads=heads, target=target, weight=weight, centre=centre,
        )  # fmt: skip
        device = device_with_room(features.queries)
        flow = extract(features, config, device)
        flow.latent = extract_latent_flow(features.latent, features.grid, config, device)
        frames = _grey(flow.grid) if reference_frames is None else reference_frames
        drawn = draw_displacement(frames, flow, style=picture)
        return io.NodeOutput(flow, drawn, ui=ui.PreviewImage(drawn, cls=cls))


def _grey(grid) -> torch.Tensor:
    """Frames to draw on where there are none."""
    return torch.full((4 * (grid.frames - 1) + 1, grid.height * 16, grid.width * 16, 3), 0.3)
