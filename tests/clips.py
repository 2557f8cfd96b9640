"""Test clips whose frames carry their own number, written with PyAV in whatever form a test needs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BASE = 12  # four quadrants, one digit each: numbers below 20736


def numbered(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """(height, width, 3) uint8: four grey quadrants that spell `index`."""
    image = np.empty((height, width, 3), np.uint8)
    for quadrant in range(4):
        row, column = divmod(quadrant, 2)
        rows = slice(0, height // 2) if row == 0 else slice(height // 2, height)
        columns = slice(0, width // 2) if column == 0 else slice(width // 2, width)
        image[rows, columns] = 18 + 20 * (index // BASE**quadrant % BASE)
    return image


def number_of(frame) -> int:
    """The number in one frame (rows, columns, 3), float 0..1; AssertionError where the picture spells none."""
    rows, columns = frame.shape[:2]
    number = 0
    for quadrant in range(4):
        row, column = divmod(quadrant, 2)
        patch = frame[
            int(rows * (0.2 + 0.5 * row)) : int(rows * (0.3 + 0.5 * row)),
            int(columns * (0.2 + 0.5 * column)) : int(columns * (0.3 + 0.5 * column)),
        ]
        level = (float(patch.mean()) * 255 - 18) / 20
        assert abs(level - round(level)) < 0.35, f"no digit: {level}"
        number += round(level) * BASE**quadrant
    return number


def numbers_of(frames) -> list[int]:
    return [number_of(frame) for frame in frames]


def write(
    path: Path,
    images,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: float = 30,
    pts: list[int] | None = None,
    time_base: Fraction | None = None,
    options: dict | None = None,
    mux_options: dict | None = None,
    container: str | None = None,
    display_matrix=None,
    pixel_aspect: Fraction | None = None,
    layout: str = "rgb24",
) -> Path:
    """Write images (each (rows, columns, 3 or 4) uint8) to `path`; `pts` in units of `time_base` for uneven spacing."""
    images = iter(images)
    first = next(images)
    with av.open(str(path), "w", format=container, options=mux_options or {}) as out:
        stream = out.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options or {})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pix_fmt
        if time_base:
            stream.codec_context.time_base = time_base
        if display_matrix is not None:
            stream.set_display_matrix(display_matrix)
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        index = 0
        while first is not None:
            frame = av.VideoFrame.from_ndarray(first, layout)
            if pts:
                frame.pts, frame.time_base = pts[index], time_base
            out.mux(stream.encode(frame))
            index, first = index + 1, next(images, None)
        out.mux(stream.encode(None))
    return path


def write_numbered(path: Path, count: int, width: int = 64, height: int = 48, **how) -> Path:
    return write(path, (numbered(index, width, height) for index in range(count)), **how)


def write_sound(path: Path, codec: str = "aac", cover: bool = False) -> Path:
    """Half a second of sound without a video; with a cover picture, as music files have it, if asked."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=48000, layout="mono")
        if cover:
            picture = out.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            out.mux(picture.encode(av.VideoFrame.from_ndarray(numbered(7), "rgb24")))
            out.mux(picture.encode(None))
        tone = np.sin(np.arange(24000) / 20, dtype=np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
