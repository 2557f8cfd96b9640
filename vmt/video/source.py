"""Where frames come from: a file PyAV reads, an animated WebP, or frames that are in memory already."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ..errors import InputError


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video without decoding it.

    width, height: pixels as displayed, after the rotation flag and the pixel aspect ratio.
    fps: frames per second as the file states it. duration: seconds as the file states it, None if it does not.
    has_times: False where the container carries no usable timestamps; frames then follow each other at `fps`.
    """

    name: str
    width: int
    height: int
    fps: float
    duration: float | None = None
    has_times: bool = True


class Source(Protocol):
    """One video. Times are seconds after its first frame."""

    info: VideoInfo
    notes: list[str]  # what happened to the picture that the user should know

    def times(self, start: float, max_frames: float, max_seconds: float) -> np.ndarray:
        """Sorted frame times, float64, found without decoding.

        Covers [start, start + max_seconds], or `max_frames` frames from `start` on, and some more, if the video is that
        long. Frames before `start` may be among them.
        """

    def frames_from(self, start: float) -> Iterator[tuple[float, Any]]:
        """(time, picture) in display order, the first at or before `start` unless the video begins later."""

    def rgb(self, picture: Any) -> torch.Tensor:
        """A picture as (rows, columns, 3), upright, alpha over black; uint8 0..255 or float 0..1."""


class FramesSource:
    """Frames in memory, (T, rows, columns, 3 or 4) float 0..1, at a constant rate."""

    def __init__(self, frames: torch.Tensor, fps: float, name: str = "The video"):
        if frames.ndim != 4 or frames.shape[-1] not in (3, 4) or 0 in frames.shape:
            raise InputError(
                f"{name} has frames of shape {tuple(frames.shape)}; (frames, height, width, 3) is allowed. "
                "Connect a video that holds pictures."
            )
        if not fps > 0:
            raise InputError(f"{name} states {fps} frames per second; it must be above 0. Set its frame rate.")
        self.frames, self.notes = frames, []
        self.info = VideoInfo(name, frames.shape[2], frames.shape[1], float(fps), len(frames) / float(fps))

    def times(self, start: float, max_frames: float, max_seconds: float) -> np.ndarray:
        return np.arange(len(self.frames)) / self.info.fps

    def frames_from(self, start: float) -> Iterator[tuple[float, torch.Tensor]]:
        first = max(0, int(start * self.info.fps))
        for index in range(first, len(self.frames)):
            yield index / self.info.fps, self.frames[index]

    def rgb(self, picture: torch.Tensor) -> torch.Tensor:
        return over_black(picture, self.notes)


def over_black(image: torch.Tensor, notes: list[str]) -> torch.Tensor:
    """(rows, columns, 3 or 4), straight alpha last, to (rows, columns, 3) of the same type; notes a used alpha once."""
    if image.shape[-1] == 3:
        return image
    colour, alpha = image[..., :3], image[..., 3:]
    opaque = 255 if image.dtype == torch.uint8 else 1.0
    if (alpha >= opaque).all():
        return colour
    note = "transparent parts are shown over black"
    if note not in notes:
        notes.append(note)
    blended = colour.float() * (alpha.float() / opaque)
    return blended.round().to(torch.uint8) if image.dtype == torch.uint8 else blended.to(image.dtype)


def open_source(file: str | os.PathLike | io.BytesIO, name: str | None = None) -> Source:
    """Look at a video file without decoding more than its first frame.

    Args:
        file: a path, or the bytes of a file.
        name: what messages call it; the file's name by default.
    Raises:
        InputError: missing, a folder, empty, not a video, audio only, damaged, or too large to decode one frame.
    """
    # Imported here because both build on this module.
    from .av_source import AvSource
    from .webp_source import WebpSource, is_webp

    if not isinstance(file, io.BytesIO):
        file = os.fspath(file)
        name = name or os.path.basename(file)
        _check_file(file, name)
    name = name or "The video"
    if is_webp(file):
        return WebpSource(file, name)
    return AvSource(file, name)


def _check_file(path: str, name: str) -> None:
    if os.path.isdir(path):
        raise InputError(f"{name} is a folder; a video file is needed. Choose a file inside it.")
    if not os.path.isfile(path):
        raise InputError(f"{name} does not exist. Upload the video again, or choose another file.")
    if os.path.getsize(path) == 0:
        raise InputError(f"{name} is empty (0 bytes); a video file is needed. Copy or upload it again.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{name} may not be read by this user. Change the file's permissions or copy it.")
