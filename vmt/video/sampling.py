"""Which frames of a clip to take: timestamps in, timestamps out. No pixels here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..errors import InputError

MIN_FRAMES = 5
MAX_FRAMES = 1025
ALL_FRAMES = 257  # what "all that fit" stops at: 16 s at 16 fps

Picture = TypeVar("Picture")


def snap_frames(number: int) -> int:
    """The largest 4n+1 not above `number`: Wan's VAE makes one latent frame of the first, then one of every four."""
    return (number - 1) // 4 * 4 + 1


@dataclass(frozen=True)
class SamplingPlan:
    """times: (T,) float64, seconds after the clip's first frame, evenly spaced. fps: their rate.

    source_fps: the clip's own rate around them. variable: its frames are not evenly spaced.
    available: how many frames could have been taken.
    """

    times: np.ndarray
    fps: float
    source_fps: float
    variable: bool
    available: int


def plan_sampling(
    times: np.ndarray, *, name: str, start: float, frames: int, fps: float, stated_fps: float
) -> SamplingPlan:
    """Choose evenly spaced times, beginning at the frame nearest to `start`, whose nearest frames are to be taken.

    Args:
        times: (N,) sorted frame times around and after `start`, seconds.
        start: seconds. frames: wanted number, 0 = all up to 257. fps: 0 = the clip's own rate.
        stated_fps: the rate in the file's header; believed where the times agree with it.
    Raises:
        InputError: start is past the end, or fewer than 5 frames remain.
    """
    times = np.unique(times)
    source_fps, variable = frame_rate(times, stated_fps)
    if not len(times) or start > times[-1] + 1 / source_fps:
        end = f"ends at {times[-1] + 1 / source_fps:.2f} s" if len(times) else "has no frames there"
        raise InputError(f"Start is {start:g} s, but {name} {end}. Lower start.")
    first = times[np.argmin(np.abs(times - start))]
    rate = fps or source_fps
    # A time up to half a frame after the last one still has that one as its nearest.
    available = int((times[-1] + 0.5 / source_fps - first) * rate + 1e-6) + 1
    taken = snap_frames(min(frames or ALL_FRAMES, available))
    if taken < MIN_FRAMES:
        raise InputError(_too_few(name, available, start, fps))
    return SamplingPlan(first + np.arange(taken) / rate, rate, source_fps, variable, available)


def _too_few(name: str, available: int, start: float, fps: float) -> str:
    where = f" from {start:g} s on" if start else ""
    at = f" at {fps:g} fps" if fps else ""
    cures = ["load a longer clip"] + ["lower start"] * bool(start) + ["raise fps"] * bool(fps)
    count = f"{available} frame" + "s" * (available != 1)
    return f"{name} has {count}{where}{at}; motion needs at least {MIN_FRAMES} (4n+1). Try to {' or '.join(cures)}."


def frame_rate(times: np.ndarray, stated_fps: float) -> tuple[float, bool]:
    """(frames per second, whether the frames are unevenly spaced) of sorted distinct times.

    Even: nine tenths of the steps are within a quarter (or 2 ms, the rounding of some containers) of the usual one; the
    odd rest is dropped or hidden frames and does not change the rate.
    """
    if len(times) < 2:
        return stated_fps, False
    steps = np.diff(times)
    usual = np.median(steps)
    even = np.abs(steps - usual) <= max(0.25 * usual, 0.002)
    if even.mean() < 0.9:
        return (len(times) - 1) / (times[-1] - times[0]), True
    measured = 1 / steps[even].mean()
    return (stated_fps if abs(measured - stated_fps) < 0.005 * measured else float(measured)), False


def pick_nearest(
    stream: Iterable[tuple[float, Picture]], wanted: Sequence[float], slack: float
) -> Iterator[tuple[int, Picture]]:
    """For each wanted time, in order, the stream's picture nearest to it; of two equally near, the earlier.

    Holds two pictures at most and stops reading as soon as the last is decided. A stream that ends more than `slack`
    seconds before a wanted time leaves it and the following ones out.

    Yields:
        (index into wanted, picture); the very same object when a picture serves several times.
    """
    index, last = 0, None
    for time, picture in stream:
        if last is not None and time <= last[0]:
            continue  # a repeated or damaged timestamp
        while index < len(wanted) and last is not None and wanted[index] - last[0] <= time - wanted[index]:
            yield index, last[1]
            index += 1
        if index == len(wanted):
            return
        last = (time, picture)
    while last is not None and index < len(wanted) and wanted[index] - last[0] <= slack:
        yield index, last[1]
        index += 1
