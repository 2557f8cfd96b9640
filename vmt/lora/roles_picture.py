"""What a model's heads do, as a picture: a square a head, blue looks within a frame, orange across time."""

from __future__ import annotations

import math

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .head_roles import THRESHOLD, HeadRoles

CELL, EDGE = 34, 30
SPATIAL_COLOUR, TEMPORAL_COLOUR = (37, 99, 175), (224, 122, 31)
FULL = math.log(4.0)  # a ratio this far from the threshold, in logarithms, has the full colour


def draw_roles(roles: HeadRoles) -> Tensor:
    """(1,height,width,3) float 0..1: a row a block, a column a head, the ratio written in each square; a frame marks
    heads whose role is within two standard errors of the other."""
    blocks, heads = roles.temporal.shape
    image = Image.new("RGB", (EDGE + heads * CELL + 6, EDGE + blocks * CELL + 6), "white")
    pen = ImageDraw.Draw(image)
    for head in range(heads):
        pen.text((EDGE + head * CELL + 12, 10), str(head), fill="black")
    for block in range(blocks):
        top = EDGE + block * CELL
        pen.text((8, top + 11), str(block), fill="black")
        for head in range(heads):
            ratio, error = float(roles.ratio[block, head]), float(roles.error[block, head])
            strength = min(1.0, 0.15 + abs(math.log(max(ratio, 1e-3) / THRESHOLD)) / FULL)
            colour = TEMPORAL_COLOUR if roles.temporal[block, head] else SPATIAL_COLOUR
            fill = tuple(round(255 + strength * (part - 255)) for part in colour)
            left = EDGE + head * CELL
            unsure = abs(ratio - THRESHOLD) < 2 * error
            pen.rectangle((left, top, left + CELL - 3, top + CELL - 3), fill, "black" if unsure else None)
            pen.text((left + 4, top + 10), f"{ratio:.1f}" if ratio < 100 else "99+", fill="black")
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(1, image.height, image.width, 3).float() / 255
