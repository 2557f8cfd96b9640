"""The losses of a training so far, as a picture."""

from __future__ import annotations

from PIL import Image, ImageDraw


def loss_picture(losses: list[float]) -> Image.Image:
    """The losses of a run so far as a curve, with their running mean."""
    width, height = 512, 256
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    top = max(losses)

    def place(i, value):
        return i / max(1, len(losses) - 1) * (width - 1), height - 1 - value / max(top, 1e-9) * (height - 1)

    means, mean = [], losses[0]
    for loss in losses:
        mean += 0.1 * (loss - mean)
        means.append(mean)
    for values, colour in ((losses, "#b8cbe8"), (means, "#1f4e9c")):
        draw.line([place(i, value) for i, value in enumerate(values)], fill=colour, width=2)
    return image
