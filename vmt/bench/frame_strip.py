"""A clip without loss in one PNG: its frames under one another."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

HEIGHT = "vmt_frame_height"  # the PNG's text entry that tells where a frame ends


def strip(pictures: list[bytes]) -> bytes:
    """PNG of all frames, from a file each, of one size; of 8 bits a colour."""
    frames = [np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")) for picture in pictures]
    told = PngInfo()
    told.add_text(HEIGHT, str(frames[0].shape[0]))
    file = io.BytesIO()
    Image.fromarray(np.concatenate(frames)).save(file, "PNG", pnginfo=told)
    return file.getvalue()


def read_strip(path: Path) -> torch.Tensor:
    """Frames (T,H,W,3) float32 0..1."""
    # The limit is against hostile files; ours may hold any number of frames.
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        picture = Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    with picture:
        pixels = torch.from_numpy(np.array(picture.convert("RGB")))
        return pixels.unflatten(0, (-1, int(picture.text[HEIGHT]))).float() / 255
