"""Videos under one another, frame by frame, in one labelled picture."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

COLUMNS = 17
GAP = 4
LABEL_WIDTH = 96  # at least
LABEL_MARGIN = 10
LABEL_LETTERS = 40  # of a longer label the rest is left out
HEAD = 22
PAPER, INK = (24, 24, 28), (230, 230, 230)


def contact_sheet(rows: dict[str, torch.Tensor], columns: int = COLUMNS) -> Image.Image:
    """
    Args:
        rows: label -> frames (T,H,W,3), float 0..1. Each is shown at its own size; the first gives the row height.
        columns: at most this many frames of each, evenly spaced, first and last included; the numbers above are the
            first row's.
    """
    font = ImageFont.load_default(size=14)
    picked = {label: _evenly(len(frames), columns) for label, frames in rows.items()}
    height, width = next(iter(rows.values())).shape[1:3]
    numbers = next(iter(picked.values()))
    labels = {label: _short(label) for label in rows}
    left = max(LABEL_WIDTH, *(2 * LABEL_MARGIN + round(font.getlength(label)) for label in labels.values()))
    size = (left + (width + GAP) * len(numbers), HEAD + (height + GAP) * len(rows))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, number in enumerate(numbers):
        place = (left + column * (width + GAP) + width // 2, HEAD // 2)
        draw.text(place, str(number), INK, font, anchor="mm")
    for row, (label, frames) in enumerate(rows.items()):
        top = HEAD + row * (height + GAP)
        draw.text((left - LABEL_MARGIN, top + height // 2), labels[label], INK, font, anchor="rm")
        for column, number in enumerate(picked[label]):
            tile = _picture(frames[number]).resize((width, height), Image.Resampling.BICUBIC)
            sheet.paste(tile, (left + column * (width + GAP), top))
    return sheet


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one size in a row."""
    width, height = pictures[0].size
    strip = Image.new("RGB", ((width + GAP) * len(pictures) - GAP, height), PAPER)
    for column, picture in enumerate(pictures):
        strip.paste(picture.convert("RGB"), (column * (width + GAP), 0))
    return strip


def _short(label: str) -> str:
    return label if len(label) <= LABEL_LETTERS else label[: LABEL_LETTERS - 1] + "…"


def _evenly(number: int, columns: int) -> list[int]:
    return sorted({round(i * (number - 1) / max(min(columns, number) - 1, 1)) for i in range(min(columns, number))})


def _picture(frame: torch.Tensor) -> Image.Image:
    return Image.fromarray((frame.clamp(0, 1) * 255).round().to(torch.uint8).numpy().astype(np.uint8))
