"""The video files of ComfyUI's input folder, and the way from a chosen name to a path inside it."""

import os

import folder_paths

from ...vmt.errors import InputError
from ...vmt.video.endings import VIDEO_ENDINGS


def list_videos() -> list[str]:
    """Names of the videos directly inside the input folder."""
    folder = folder_paths.get_input_directory()
    names = [entry.name for entry in os.scandir(folder) if entry.is_file()] if os.path.isdir(folder) else []
    return sorted(name for name in names if name.lower().endswith(VIDEO_ENDINGS))


def input_path(name: str | None) -> str:
    """The real path of a file chosen by name; " [output]" or " [temp]" after it means these folders, as in core.

    Raises:
        InputError: no name, or a path that leads out of its folder, links included. Hosts before mid-2026 do not check.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(
            "No video is chosen; a file of the input folder is needed. Upload one with the node's button, or connect "
            "a VIDEO."
        )
    inner, folder = folder_paths.annotated_filepath(name)
    folder = os.path.realpath(folder or folder_paths.get_input_directory())
    try:
        path = os.path.realpath(os.path.join(folder, inner))
        inside = os.path.commonpath((folder, path)) == folder
    except ValueError:  # another drive, or a null byte in the name
        inside = False
    if not inside:
        raise InputError(
            f"Video {name!r} lies outside ComfyUI's folders; only files inside the input folder may be read. Copy it "
            "there or upload it."
        )
    return path
