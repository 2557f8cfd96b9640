"""A video file through PyAV: timestamps from packets, pictures from the nearest keyframe on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager

import av
import numpy as np
import torch
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import Colorspace

from ..errors import InputError
from .geometry import orientation, turn_upright
from .source import VideoInfo, over_black

# FFmpeg takes these for video as well: text drawn as a terminal, playlists that name other files, generated pictures.
_NOT_VIDEO_FILES = frozenset("tty bin xbin adf idf hls dash concat concatf imf lavfi sdp rtsp".split())
_UNTIMED = {"avi"}  # its packets carry decoding order only, wrong wherever frames are reordered
_SEEK_MARGIN = 1.0  # seconds; some demuxers seek by decoding time, which runs ahead of display time
_REORDER = 32  # packets read beyond the last wanted one, since they come in decoding order
_MAX_PIXELS = 16384 * 8192
_HD_ROWS = 720
_UNSPECIFIED = 2


class AvSource:
    """One video stream of a file; see `source.Source`. The file is opened anew for each pass and never kept open."""

    def __init__(self, file: str | io.BytesIO, name: str):
        self._file, self._name, self.notes = file, name, []
        with self._opened() as (container, stream):
            self._check_stream(stream)
            self._time_base = stream.time_base
            first = self._first_frame(container, stream)
            width, height = first.width * _pixel_aspect(stream), first.height
            rate = float(stream.average_rate or stream.guessed_rate or 0) or 25.0
            duration = float(stream.duration * stream.time_base) if stream.duration else None
            untimed = first.pts is None or bool(_UNTIMED & set(container.format.name.split(",")))
        self._first_pts = first.pts
        self._turn = _turn_of(first)
        if self._turn[0]:
            width, height = height, width
        self.info = VideoInfo(name, max(1, round(width)), max(1, round(height)), rate, duration, not untimed)

    def times(self, start: float, max_frames: float, max_seconds: float) -> np.ndarray:
        limit = max_frames + _REORDER
        if not self.info.has_times:
            limit = min(limit, max_seconds * self.info.fps + _REORDER) + start * self.info.fps
        with self._opened() as (container, stream):
            self._seek(container, stream, start)
            times, counted = [], 0
            for packet in self._packets(container, stream):
                pts = packet.pts if packet.pts is not None else packet.dts
                # What an edit list leaves out is decoded for what follows, but never shown.
                if not packet.size or packet.is_discard or (pts is None and self.info.has_times):
                    continue
                times.append(self._seconds(pts) if self.info.has_times else len(times) / self.info.fps)
                counted += not self.info.has_times or times[-1] >= start
                if counted >= limit or (self.info.has_times and times[-1] > start + max_seconds + _SEEK_MARGIN):
                    break
        times = np.sort(np.array(times, dtype=np.float64))
        return times[times > -1e-6]

    def frames_from(self, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
        for seeks in (True, False):
            with self._opened() as (container, stream):
                sought = seeks and self._seek(container, stream, start)
                with closing(self._decoded(container, stream)) as frames:
                    first = next(frames, None)
                    if sought and (first is None or first[0] > start + 1e-6):
                        continue  # no keyframe there: read from the beginning
                    if first is not None:
                        yield first
                        yield from frames
                    return

    def rgb(self, picture: av.VideoFrame) -> torch.Tensor:
        # Untagged HD is BT.709 by custom; PyAV would take it for BT.601.
        untagged_hd = picture.colorspace == _UNSPECIFIED and picture.height >= _HD_ROWS
        colours = Colorspace.ITU709 if untagged_hd else None
        layout = "rgba" if _may_have_alpha(picture) else "rgb24"
        array = picture.reformat(format=layout, src_colorspace=colours).to_ndarray()
        return turn_upright(over_black(torch.from_numpy(array), self.notes), self._turn)

    @contextmanager
    def _opened(self) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        try:
            # The whitelist keeps playlists and the like away from the network.
            container = av.open(self._file, metadata_errors="replace", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"{self._name} cannot be opened as a video ({_reason(error)}): it is not a video, or cut off. "
                "Choose another file, or export it again as mp4."
            ) from error
        with container:
            stream = _video_stream(container)
            if stream is None or set(container.format.name.split(",")) & _NOT_VIDEO_FILES:
                has_audio = bool(container.streams.audio)
                what = "has sound but no picture" if has_audio and stream is None else "is not a video file"
                raise InputError(
                    f"{self._name} {what}; a video such as mp4, mov, mkv or webm is needed. Choose another file."
                )
            stream.thread_type = "AUTO"
            yield container, stream

    def _check_stream(self, stream: av.VideoStream) -> None:
        context = stream.codec_context
        if context is None:
            raise InputError(f"{self._name} uses a codec that cannot be decoded here. Export it again as H.264 mp4.")
        if context.width * context.height > _MAX_PIXELS:
            raise InputError(
                f"{self._name} has frames of {context.width}x{context.height} pixels; 16384x8192 is the most that is "
                "decoded. Scale the video down first."
            )

    def _first_frame(self, container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame:
        for packet in self._packets(container, stream):
            for frame in self._decode(packet):
                return frame
        raise InputError(
            f"{self._name} has a video stream ({stream.codec_context.name}), but no frame of it can be decoded: it is "
            "damaged or cut off. Export it again as H.264 mp4."
        )

    def _packets(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
        """Packets up to the end, or up to where the file can no longer be read."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return
            yield packet

    def _decode(self, packet: av.Packet) -> list[av.VideoFrame]:
        try:
            return packet.decode()
        except av.EOFError:
            return []
        except av.FFmpegError:
            note = "damaged frames were skipped"
            if note not in self.notes:
                self.notes.append(note)
            return []

    def _decoded(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[tuple[float, av.VideoFrame]]:
        count = 0
        for packet in self._packets(container, stream):
            for frame in self._decode(packet):
                if not self.info.has_times:
                    yield count / self.info.fps, frame
                elif frame.pts is not None:
                    yield self._seconds(frame.pts), frame
                count += 1

    def _seek(self, container: av.container.InputContainer, stream: av.VideoStream, start: float) -> bool:
        """Go to a keyframe at least a second before `start`; False if the file is read from its beginning."""
        if start <= _SEEK_MARGIN or not self.info.has_times:
            return False
        target = self._first_pts + int((start - _SEEK_MARGIN) / self._time_base)
        try:
            container.seek(target, stream=stream, backward=True)
        except av.FFmpegError:  # GIF, APNG and some others cannot seek; reading goes on where it was
            return False
        return True

    def _seconds(self, pts: int) -> float:
        return float((pts - self._first_pts) * self._time_base)


def _video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first real video stream; cover pictures of music files do not count."""
    attached = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & attached), None)


def _turn_of(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    matrix = frame.side_data.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return False, False, False
    return orientation(np.frombuffer(matrix, dtype=np.int32).astype(float).tolist())


def _pixel_aspect(stream: av.VideoStream) -> float:
    """Width over height of one stored pixel: 1 unless the video is anamorphic."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 0.1 < ratio < 10 else 1.0


def _may_have_alpha(frame: av.VideoFrame) -> bool:
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower().rstrip(".")
