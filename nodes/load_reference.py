"""Load Reference Video: a clip on the model's frame rule and size grid, from a file or a VIDEO."""

import dataclasses
import logging
import math
import os

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import InputImpl, io, ui
from comfy_execution.validation import validate_node_input

from ..vmt.errors import InputError
from ..vmt.video import FITS, GRID, FramesSource, ReferenceConfig, load_reference, open_source, write_video
from ..vmt.video.geometry import MAX_SIZE
from ..vmt.video.reference import MAX_FPS
from ..vmt.video.sampling import MAX_FRAMES
from .host.input_file import input_path, list_videos
from .host.node_text import show_on_node

DEFAULT = ReferenceConfig()
PREVIEW_QUALITY = 20


class LoadReferenceVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_LoadReferenceVideo",
            display_name="Load Reference Video",
            category="VMT",
            description="The clip whose motion is transferred: evenly spaced frames, 4n+1 of them, at a size that is a "
            "multiple of 16. Only the part that is used is decoded.",
            inputs=[
                io.Combo.Input(
                    "file",
                    # Without any option the page sends no file at all, and the host then refuses a connected VIDEO too.
                    options=list_videos() or [""],
                    upload=io.UploadType.video,
                    tooltip="A video of the input folder: mp4, mov, mkv, webm, avi, gif and others. Not used when a "
                    "VIDEO is connected.",
                ),
                io.Video.Input(
                    "video", optional=True, tooltip="A video from another node; it takes the place of the file."
                ),
                io.Float.Input(
                    "start",
                    default=DEFAULT.start,
                    min=0.0,
                    max=86400.0,
                    step=0.05,
                    tooltip="Seconds after the beginning of the video.",
                ),
                io.Int.Input(
                    "frames",
                    default=DEFAULT.frames,
                    min=0,
                    max=MAX_FRAMES,
                    tooltip="How many frames to take. Rounded down to 4n+1 (5, 9, ... 81), as Wan's VAE needs; 0: all, "
                    "up to 257. Wan 2.1 works best with 81.",
                ),
                io.Float.Input(
                    "fps",
                    default=DEFAULT.fps,
                    min=0.0,
                    max=MAX_FPS,
                    step=1.0,
                    tooltip="Frames per second to take, so that the motion keeps its speed; Wan 2.1 makes 16. "
                    "0: the video's own rate.",
                ),
                io.Int.Input(
                    "width",
                    default=DEFAULT.width,
                    min=0,
                    max=MAX_SIZE,
                    step=GRID,
                    tooltip="Pixels, to the nearest multiple of 16. 0: from the height and the video's shape; both 0: "
                    "the video's own size, scaled down to the area of 832x480 if it is larger.",
                ),
                io.Int.Input(
                    "height",
                    default=DEFAULT.height,
                    min=0,
                    max=MAX_SIZE,
                    step=GRID,
                    tooltip="Pixels, to the nearest multiple of 16. 0: from the width and the video's shape.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default=DEFAULT.fit,
                    tooltip="When the video has another shape. crop: cut what is over. pad: black borders. stretch: "
                    "distort, which changes the directions of the motion.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="For VAE Encode."),
                io.Float.Output(display_name="fps", tooltip="Frames per second of the frames, for Create Video."),
                io.Int.Output(display_name="frame_count", tooltip="4n+1; the length of the video to sample."),
                io.String.Output(display_name="report", tooltip="What was taken, and what had to be changed."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, file=None, input_types=None):
        """Checks the file while queueing. Naming `input_types`, the only way to see whether a VIDEO is connected, makes
        the host leave the checks of connections to us."""
        declared = {name: info[0] for group in cls.INPUT_TYPES().values() for name, info in group.items()}
        for name, received in (input_types or {}).items():
            if not validate_node_input(received, declared[name] if isinstance(declared[name], str) else "COMBO"):
                return f"{name} receives {received}, but takes {declared[name]}. Connect an output of that type."
        if {"video", "file"} & set(input_types or {}):
            return True
        try:
            path = input_path(file)
        except InputError as error:
            return str(error)
        if not os.path.exists(path):
            return f"Video {file!r} is not in the input folder. Upload it, or choose another."
        return True

    @classmethod
    def fingerprint_inputs(cls, file=None, **others):
        """Changes when the file does."""
        try:
            status = os.stat(input_path(file))
        except (InputError, OSError):
            return "no file"  # a connected VIDEO, or an error that execute tells
        return f"{status.st_mtime_ns} {status.st_size}"

    @classmethod
    def execute(cls, file, start, frames, fps, width, height, fit, video=None) -> io.NodeOutput:
        config = ReferenceConfig(start, frames, fps, width, height, fit)
        config.check()
        if video is None:
            source, seconds = open_source(input_path(file), name=file), math.inf
        else:
            source, offset, seconds = _source_of(video)
            config, seconds = dataclasses.replace(config, start=start + offset), seconds - start
            if seconds <= 0:
                trimmed = f"the connected video is trimmed to {seconds + start:g} s"
                raise InputError(f"Start is {start:g} s, but {trimmed}. Lower start.")
        clip = load_reference(source, config, max_bytes=_spare_memory(), max_seconds=seconds, on_frame=_progress())
        logging.info("Load Reference Video: %s", clip.report)
        show_on_node(clip.report, cls.hidden.unique_id)
        shown = {**_preview(clip).as_dict(), "text": (clip.report,)}
        return io.NodeOutput(clip.frames, clip.fps, len(clip.frames), clip.report, ui=shown)


def _source_of(video):
    """(source, seconds cut off at its beginning, seconds that are left) of a VIDEO."""
    if not isinstance(video, InputImpl.VideoFromFile):
        parts = video.get_components()
        return FramesSource(parts.images, float(parts.frame_rate), "The connected video"), 0.0, math.inf
    file = video.get_stream_source()
    name = os.path.basename(file) if isinstance(file, str) else "The connected video"
    # Hosts from 2026 on can trim a VIDEO without decoding it; its file is still the whole one.
    offset, duration = video.get_active_trim_window() if hasattr(video, "get_active_trim_window") else (0.0, 0.0)
    return open_source(file, name), offset, duration or math.inf


def _spare_memory() -> int:
    """Half of what is free: VAE Encode and the preview want some too."""
    return int(comfy.model_management.get_free_memory(torch.device("cpu")) // 2)


def _progress():
    bar = None

    def on_frame(done: int, total: int) -> None:
        nonlocal bar
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar = bar or comfy.utils.ProgressBar(total)
        bar.update_absolute(done, total)

    return on_frame


def _preview(clip) -> ui.PreviewVideo:
    """The frames that are used, at their speed, in the temporary folder."""
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        "vmt_reference", folder_paths.get_temp_directory(), clip.frames.shape[2], clip.frames.shape[1]
    )
    file = f"{name}_{counter:05}_.mp4"
    os.makedirs(folder, exist_ok=True)
    write_video(os.path.join(folder, file), clip.frames, clip.fps, crf=PREVIEW_QUALITY)
    return ui.PreviewVideo([ui.SavedResult(file, subfolder, io.FolderType.temp)])
