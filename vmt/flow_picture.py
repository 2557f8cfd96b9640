"""A picture of the motion of a reference, drawn over its frames: what attention shows, and what its latent shows."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .errors import InputError, check_choice
from .signals.attention_flow import AttentionFlow

STYLES = ("arrows", "colour")
SHORT_SIDE = 384  # pixels a small frame is enlarged to, so that arrows can be seen
LEGEND = 56  # pixels of the strip below
DRAWN = 2  # times the output size, reduced afterwards for smooth lines


@dataclass(frozen=True)
class _Field:
    """name: of what shows it. moved: (F-1, h, w, 2) tokens (row, col) to the next frame. confidence: (F-1, h, w)."""

    name: str
    moved: np.ndarray
    confidence: np.ndarray

    @cached_property
    def longest(self) -> float:
        """Length in tokens that is drawn in full colour."""
        return max(float(np.quantile(np.hypot(self.moved[..., 0], self.moved[..., 1]), 0.99)), 0.05)


def draw_displacement(frames: Tensor, flow: AttentionFlow, style: Literal["arrows", "colour"] = "arrows") -> Tensor:
    """Displacement from each latent frame to the next, over the video frame it starts from, with a legend.

    Both are read both ways, as guidance reads them: above the attention flow of the first block, below it the latent
    flow, if there is one. Colour tells direction (the wheel of the legend, as seen on the screen) and saturation
    length, on one scale for all frames; faint means low confidence. Arrows start at the middle of a place and end where
    it is found again.

    Args:
        frames: (T, H, W, 3) float 0..1, the reference video; T = 4(F-1)+1, other lengths are spread evenly.
    Returns:
        (F-1, H', W', 3) float32 0..1 on the CPU, W' at least that of the frames and H' that of each field.
    Raises:
        InputError: frames are no video, or there is no such style.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise InputError(
            f"The frames to draw on have shape {tuple(frames.shape)}; (frames, height, width, 3) is allowed. "
            "Connect the frames of the reference video."
        )
    check_choice("style", style, STYLES)
    paint = _paint_arrows if style == "arrows" else _paint_colours
    fields = [_attention_field(flow)] + ([_latent_field(flow)] if flow.latent else [])
    pictures = []
    for i in range(flow.grid.frames - 1):
        canvas = _canvas(frames[_video_frame(i, flow.grid.frames, len(frames))])
        drawn = []
        for field in fields:
            text = f"{field.name}, latent frame {i} to {i + 1}; full colour: {field.longest:.2g} tokens"
            drawn.append(_with_legend(paint(canvas.copy(), field.moved[i], field.confidence[i], field.longest), text))
        pictures.append(np.concatenate(drawn))
    return torch.from_numpy(np.stack(pictures))


def _attention_field(flow: AttentionFlow) -> _Field:
    block, measured = next(iter(flow.blocks.items()))
    size = flow.grid.height, flow.grid.width
    moved, sure = measured.both_ways_tok.unflatten(1, size), measured.confidence.unflatten(1, size)
    return _field(f"attention of block {block}", flow.pairs, moved, sure)


def _latent_field(flow: AttentionFlow) -> _Field:
    latent = flow.latent
    cells = torch.tensor([latent.grid.height, latent.grid.width]) / torch.tensor(latent.displacement.shape[1:3])
    return _field("latent flow", latent.pairs, latent.displacement * cells, latent.confidence)


def _field(name: str, pairs: Tensor, moved: Tensor, confidence: Tensor) -> _Field:
    nearest = pairs[:, 1] - pairs[:, 0] == 1
    sure = confidence[nearest].double().numpy()
    return _Field(name, moved[nearest].double().numpy(), sure / max(sure.max(), 1e-6))


def _video_frame(i: int, num_latent: int, num_frames: int) -> int:
    """Video frame that stands for latent frame i: the first, then the third of each group of four."""
    if num_frames == 4 * (num_latent - 1) + 1:
        return max(4 * i - 1, 0)
    return round(i * (num_frames - 1) / max(num_latent - 1, 1))


def _canvas(frame: Tensor) -> Image.Image:
    """The frame, dimmed, at drawing size."""
    pixels = (frame.detach().float().cpu().clamp(0, 1) * 255).round().byte().numpy()
    enlarge = max(1.0, SHORT_SIDE / min(pixels.shape[:2])) * DRAWN
    size = round(pixels.shape[1] * enlarge / DRAWN) * DRAWN, round(pixels.shape[0] * enlarge / DRAWN) * DRAWN
    return Image.eval(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), lambda value: value * 0.6)


def _colours(moved: np.ndarray, longest: float) -> np.ndarray:
    """(..., 2) displacement to (..., 3) uint8: hue = direction on the screen, saturation = length / longest."""
    hue = np.arctan2(-moved[..., 0], moved[..., 1]) / (2 * np.pi) % 1
    saturation = np.minimum(np.hypot(moved[..., 0], moved[..., 1]) / longest, 1)
    hsv = (np.stack([hue, saturation, np.ones_like(hue)], axis=-1) * 255).astype(np.uint8).reshape(-1, 1, 3)
    rgb = Image.frombytes("HSV", (1, len(hsv)), hsv.tobytes()).convert("RGB")
    return np.asarray(rgb).reshape(*moved.shape[:-1], 3)


def _paint_colours(canvas: Image.Image, moved: np.ndarray, confidence: np.ndarray, longest: float) -> Image.Image:
    colours = Image.fromarray(_colours(moved, longest)).resize(canvas.size, Image.Resampling.NEAREST)
    length = np.minimum(np.hypot(moved[..., 0], moved[..., 1]) / longest, 1)
    opacity = Image.fromarray((length * (0.3 + 0.6 * confidence) * 255).astype(np.uint8))
    return Image.composite(colours, canvas, opacity.resize(canvas.size, Image.Resampling.NEAREST))


def _paint_arrows(canvas: Image.Image, moved: np.ndarray, confidence: np.ndarray, longest: float) -> Image.Image:
    draw = ImageDraw.Draw(canvas)
    cell_x, cell_y = canvas.width / moved.shape[1], canvas.height / moved.shape[0]
    colours = _colours(moved, longest) * (0.35 + 0.65 * confidence[..., None])
    line = 2 * DRAWN
    # On fine grids only every n-th token gets an arrow, so that they stay apart.
    step_y, step_x = (max(1, int(np.ceil(20 * DRAWN / cell))) for cell in (cell_y, cell_x))
    for y in range(step_y // 2, moved.shape[0], step_y):
        for x in range(step_x // 2, moved.shape[1], step_x):
            start = np.array([(x + 0.5) * cell_x, (y + 0.5) * cell_y])
            along = np.array([moved[y, x, 1] * cell_x, moved[y, x, 0] * cell_y])
            colour = tuple(int(value) for value in colours[y, x])
            draw.ellipse([*(start - line), *(start + line)], fill=colour)
            length = np.hypot(*along)
            if length < 2 * line:
                continue
            head = min(length * 0.5, 5.0 * line) * along / length
            side = 0.5 * np.array([-head[1], head[0]])
            end = start + along
            draw.line([*start, *(end - head)], fill=colour, width=line)
            draw.polygon([*end, *(end - head + side), *(end - head - side)], fill=colour)
    return canvas


def _with_legend(canvas: Image.Image, text: str) -> np.ndarray:
    """The picture at output size with colour wheel and text below: (H', W', 3) float32."""
    picture = canvas.reduce(DRAWN)
    sheet = Image.new("RGB", (picture.width, picture.height + LEGEND), (16, 16, 16))
    sheet.paste(picture, (0, 0))
    size = (LEGEND - 8) * 2
    rows, cols = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
    wheel = Image.fromarray(_colours(np.stack([rows, cols], axis=-1), 1.0))
    disc = Image.fromarray(np.where(np.hypot(rows, cols) <= 1, 255, 0).astype(np.uint8))
    sheet.paste(wheel.reduce(2), (4, picture.height + 4), disc.reduce(2))
    ImageDraw.Draw(sheet).text((LEGEND + 6, picture.height + LEGEND // 2 - 6), text, fill=(230, 230, 230))
    return np.asarray(sheet, dtype=np.float32) / 255
