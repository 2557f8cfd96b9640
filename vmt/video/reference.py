"""A reference clip as the model wants it: 4n+1 frames, evenly spaced, at a size on the token grid."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch

from ..errors import InputError
from .cuts import find_cuts
from .geometry import FITS, apply_fit, plan_fit, target_size
from .sampling import ALL_FRAMES, MAX_FRAMES, MIN_FRAMES, SamplingPlan, pick_nearest, plan_sampling
from .source import Source, open_source

MAX_FPS = 240.0
DEFAULT_MEMORY = 8 * 2**30


@dataclass(frozen=True)
class ReferenceConfig:
    """What to take from a video.

    start: seconds after its first frame. frames: wanted number, snapped down to 4n+1; 0 = all that fit, up to 257.
    fps: frames per second of the result, nearest frames being taken; 0 = the video's own. Wan 2.1 makes 16.
    width, height: pixels, snapped to 16; 0 = from the source, see `geometry.target_size`.
    fit: "crop", "pad" or "stretch" when the shapes differ.
    """

    start: float = 0.0
    frames: int = 81
    fps: float = 16.0
    width: int = 0
    height: int = 0
    fit: str = "crop"

    def check(self) -> None:
        """Raises InputError for what no video could fulfil."""
        if not (math.isfinite(self.start) and self.start >= 0):
            raise InputError(f"Start is {self.start:g} s; 0 or more is allowed. Set where in the video to begin.")
        if self.frames and not MIN_FRAMES <= self.frames <= MAX_FRAMES:
            raise InputError(
                f"Frames is {self.frames}; {MIN_FRAMES} to {MAX_FRAMES} (4n+1), or 0 for all, is allowed. "
                "81 suits Wan 2.1."
            )
        if self.fps and not 1 <= self.fps <= MAX_FPS:
            raise InputError(
                f"Fps is {self.fps:g}; 1 to {MAX_FPS:g}, or 0 for the video's own, is allowed. 16 suits Wan 2.1."
            )
        if self.fit not in FITS:
            raise InputError(f"Fit is {self.fit!r}; one of {', '.join(FITS)} is allowed. Choose crop.")


@dataclass(frozen=True)
class ReferenceClip:
    """frames: (T, height, width, 3) float32 0..1, T = 4n+1. fps: their rate. report: one line of what was taken."""

    frames: torch.Tensor
    fps: float
    report: str


def load_reference(
    video: str | os.PathLike | io.BytesIO | Source,
    config: ReferenceConfig = ReferenceConfig(),
    *,
    max_bytes: int = DEFAULT_MEMORY,
    max_seconds: float = math.inf,
    on_frame: Callable[[int, int], None] | None = None,
) -> ReferenceClip:
    """Load the frames of a video that a motion transfer takes as its reference.

    Memory: the result and two source frames. Time: timestamps of the wanted part, then decoding of that part.

    Args:
        video: a path, a file's bytes, or an opened source.
        max_bytes: refuse a result larger than this; 8 GiB unless told.
        max_seconds: take nothing later than this many seconds after start (an outer cut).
        on_frame: called with (done, total) after each frame; what it raises ends the loading.
    Raises:
        InputError: the file, the asked part or the asked size cannot be had.
    """
    config.check()
    source = video if hasattr(video, "frames_from") else open_source(video)
    info = source.info
    width, height = target_size((info.width, info.height), config.width, config.height)
    fit = plan_fit((info.width, info.height), (width, height), config.fit)
    plan = _plan(source, config, max_seconds)
    _check_memory(len(plan.times), width, height, max_bytes)
    frames = _decode(source, plan, fit, on_frame)
    cuts = [float(plan.times[number]) for number in find_cuts(frames)]
    return ReferenceClip(frames, plan.fps, _report(source, config, plan, (width, height), cuts, max_seconds))


def _plan(source: Source, config: ReferenceConfig, max_seconds: float) -> SamplingPlan:
    number = config.frames or ALL_FRAMES
    seconds = min(max_seconds, number / config.fps if config.fps else math.inf)
    times = source.times(config.start, math.inf if config.fps else number, seconds)
    if math.isfinite(max_seconds):
        times = times[times < config.start + max_seconds - 1e-6]
    return plan_sampling(
        times,
        name=source.info.name,
        start=config.start,
        frames=config.frames,
        fps=config.fps,
        stated_fps=source.info.fps,
    )


def _check_memory(number: int, width: int, height: int, max_bytes: int) -> None:
    needed = number * width * height * 3 * 4
    if needed > max_bytes:
        raise InputError(
            f"{number} frames of {width}x{height} need {needed / 2**30:.1f} GB of memory; {max_bytes / 2**30:.1f} GB "
            "may be used. Ask for fewer frames or a smaller width and height."
        )


def _decode(source: Source, plan: SamplingPlan, fit, on_frame) -> torch.Tensor:
    total = len(plan.times)
    frames = torch.empty(total, *fit.size, 3)
    done, last = 0, None
    with closing(source.frames_from(float(plan.times[0]))) as stream:
        for index, picture in pick_nearest(stream, plan.times, slack=1.5 / plan.source_fps):
            if picture is last:
                frames[index] = frames[index - 1]
            else:
                frames[index] = apply_fit(source.rgb(picture), fit)
            done, last = index + 1, picture
            if on_frame:
                on_frame(done, total)
    if done < total:
        raise InputError(
            f"{source.info.name} can be decoded for {done} of the {total} wanted frames only; the rest is damaged. "
            "Ask for fewer frames, choose another start, or export the video again."
        )
    return frames


def _report(
    source: Source,
    config: ReferenceConfig,
    plan: SamplingPlan,
    size: tuple[int, int],
    cuts: list[float],
    max_seconds: float,
) -> str:
    info, taken = source.info, len(plan.times)
    end = plan.times[-1] + 1 / plan.fps
    kind = "variable" if plan.variable else "fps"
    parts = [
        f"{info.name}: {taken} frames, {plan.times[0]:.2f} to {end:.2f} s, "
        f"{plan.fps:g} fps (source {plan.source_fps:.4g} {kind}), "
        f"{size[0]}x{size[1]} (source {info.width}x{info.height})"
    ]
    if cuts:
        at = ", ".join(f"{seconds:.2f}" for seconds in cuts)
        parts.append(f"a cut at {at} s, across which nothing can be followed: choose start and frames without one")
    if config.frames > plan.available:
        parts.append(f"asked {config.frames} frames, the video has {plan.available} from there on")
    wanted = min(config.frames or plan.available, plan.available)
    if config.frames == 0 and plan.available > ALL_FRAMES:
        parts.append(f"all would be {plan.available} or more, {taken} is the limit")
    elif wanted != taken:
        parts.append(f"{wanted} frames became {taken} (4n+1)")
    limited_by_video = plan.available < (config.frames or ALL_FRAMES) and math.isinf(max_seconds)
    if limited_by_video and info.duration and plan.times[0] + plan.available / plan.fps < info.duration - 0.5:
        parts.append(f"the file states {info.duration:.2f} s: it may be cut off")
    if (config.width or size[0], config.height or size[1]) != size:
        parts.append(f"size {config.width}x{config.height} became {size[0]}x{size[1]} (multiples of 16)")
    if plan.fps > 1.05 * plan.source_fps:
        parts.append("frames repeat, since fps is above the source's")
    if not info.has_times:
        parts.append("the file has no usable timestamps, its stated rate was trusted")
    return "; ".join([*parts, *source.notes])
