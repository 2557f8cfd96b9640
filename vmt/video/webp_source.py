"""An animated WebP through Pillow: FFmpeg's decoder does not read the animation."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from ..errors import InputError
from .source import VideoInfo, over_black


def is_webp(file: str | io.BytesIO) -> bool:
    """Whether the content is WebP, whatever the file is called."""
    if isinstance(file, io.BytesIO):
        head = file.getbuffer()[:12].tobytes()
    else:
        with open(file, "rb") as opened:
            head = opened.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


class WebpSource:
    """See `source.Source`. Pillow gives a frame's duration only with its pixels, so timestamps are read by decoding."""

    def __init__(self, file: str | io.BytesIO, name: str):
        self._file, self._name, self.notes = file, name, []
        duration, image = next(self._animation(), (None, None))
        if image is None:
            raise InputError(f"{name} has no picture that can be decoded. Export it again, best as mp4.")
        self.info = VideoInfo(name, image.width, image.height, 1 / duration)

    def times(self, start: float, max_frames: float, max_seconds: float) -> np.ndarray:
        times, counted = [], 0
        for time, _ in self.frames_from(0.0):
            times.append(time)
            counted += time >= start
            if counted > max_frames or time > start + max_seconds + 1:
                break
        return np.array(times)

    def frames_from(self, start: float) -> Iterator[tuple[float, Image.Image]]:
        time = 0.0
        for duration, image in self._animation():
            yield time, image
            time += duration

    def rgb(self, picture: Image.Image) -> torch.Tensor:
        return over_black(torch.from_numpy(np.array(picture.convert("RGBA"))), self.notes)

    def _animation(self) -> Iterator[tuple[float, Image.Image]]:
        with self._opened() as image:
            for index in range(getattr(image, "n_frames", 1)):
                try:
                    image.seek(index)
                    image.load()
                except (EOFError, OSError, ValueError):
                    return
                yield max(image.info.get("duration") or 100, 10) / 1000, image.copy()

    def _opened(self) -> Image.Image:
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        try:
            return Image.open(self._file, formats=["WEBP"])
        except Image.DecompressionBombError as error:
            raise InputError(
                f"{self._name} has frames of more than {2 * Image.MAX_IMAGE_PIXELS} pixels, the most that is decoded. "
                "Scale the video down first."
            ) from error
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise InputError(
                f"{self._name} cannot be opened as WebP: it is damaged or cut off. Export it again, best as mp4."
            ) from error
