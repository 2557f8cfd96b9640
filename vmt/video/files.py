"""Plain reading and writing of video files, for demos, tests and previews."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable
from fractions import Fraction

import av
import torch
from av.video.reformatter import ColorRange, Colorspace

from ..errors import InputError
from .geometry import apply_fit, plan_fit
from .source import open_source

_BT709 = 1  # for matrix, primaries and transfer alike (ISO/IEC 23091-2)


def write_video(
    path: str | os.PathLike | io.BytesIO, frames: Iterable[torch.Tensor], fps: float, crf: int = 12
) -> None:
    """Write an H.264 mp4, yuv420p, BT.709, playable in browsers.

    Args:
        frames: (T, height, width, 3) 0..1, or an iterable of such frames; height and width even.
        fps: frames per second. crf: 0 (lossless) to 51; 12 is visually lossless.
    Raises:
        InputError: no frames, odd or differing sizes, or fps not above 0.
    """
    if not fps > 0:
        raise InputError(f"fps is {fps}; it must be above 0. Set the frame rate to write.")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError("There are no frames to write; at least one is needed.")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise InputError(f"Frames are {width}x{height} pixels; H.264 needs even sizes. Crop or pad by one pixel.")
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(path if isinstance(path, io.BytesIO) else os.fspath(path), "w", format="mp4") as container:
        # Without it x264 has, for small frames, one of two results by chance.
        options = {"crf": str(crf), "preset": "medium", "x264-params": "cpu-independent=1"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        for index, frame in enumerate(itertools.chain([first], frames)):
            container.mux(stream.encode(_encodable(frame, index, (height, width))))
        container.mux(stream.encode(None))


def _encodable(frame: torch.Tensor, index: int, size: tuple[int, int]) -> av.VideoFrame:
    if tuple(frame.shape) != (*size, 3):
        raise InputError(f"Frame {index} has shape {tuple(frame.shape)}; all must be {(*size, 3)}, as the first is.")
    pixels = (frame.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().contiguous().numpy()
    picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    picture = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
    picture.pts = index
    return picture


def read_video(path: str | os.PathLike | io.BytesIO, max_frames: int = 2000) -> tuple[torch.Tensor, float]:
    """All frames of a short video as they are stored, and its stated rate.

    Returns:
        frames (T, height, width, 3) float32 0..1, as displayed, and frames per second.
    Raises:
        InputError: not a video, or more than `max_frames` frames.
    """
    source = open_source(path)
    shown = (source.info.width, source.info.height)
    plan, frames = plan_fit(shown, shown, "stretch"), []
    for _, picture in source.frames_from(0.0):
        if len(frames) == max_frames:
            raise InputError(f"{source.info.name} has more than {max_frames} frames; load a part of it instead.")
        frames.append(apply_fit(source.rgb(picture), plan))
    return torch.stack(frames), source.info.fps
