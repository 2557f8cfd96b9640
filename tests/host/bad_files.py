"""Bad input of Load Reference Video: what is given, and the words of the answer that a user needs.

`BAD_FILES` maps a case, as a reader of the table calls it, to (prepare, expected): `prepare(folder)` makes what the
case needs in the input folder and returns the node's inputs; `expected` is a regular expression found in the answer.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
from PIL import Image

_SPEC = importlib.util.spec_from_file_location("vmt_test_clips", Path(__file__).parents[1] / "clips.py")
clips = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(clips)

GOOD = {"start": 0.0, "frames": 0, "fps": 0.0, "width": 0, "height": 0, "fit": "crop"}


def _file(name, write=lambda path: None, **settings):
    """A case about one file in the input folder."""

    def prepare(folder):
        write(folder / name)
        return {**GOOD, "file": name, **settings}

    return prepare


def _clip(count=60, name="bad_input.mp4", **settings):
    """A case about the settings for a good clip, 2 s at 30 fps unless told."""
    return _file(name, lambda path: clips.write_numbered(path, count), **settings)


def _outside(name):
    """A good video beside the input folder, reached by `name`, in which {outside} is its path."""

    def prepare(folder):
        path = clips.write_numbered(folder.parent / "outside.mp4", 9)
        return {**GOOD, "file": name.format(outside=path)}

    return prepare


def _linked(folder):
    path = clips.write_numbered(folder.parent / "outside.mp4", 9)
    link = folder / "linked.mp4"
    link.unlink(missing_ok=True)
    os.symlink(path, link)
    return {**GOOD, "file": "linked.mp4"}


def _cut_before_index(path):
    clips.write_numbered(path, 60)
    path.write_bytes(path.read_bytes()[:2000])  # the index of an mp4 comes last


def _cut_after_index(path):
    clips.write_numbered(path, 60, mux_options={"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 8])


def _blank_from(share):
    """A clip whose pictures are nothing but ones after that share of the file, the index kept."""

    def write(path):
        clips.write_numbered(path, 60, mux_options={"movflags": "faststart"}, codec="prores_ks", pix_fmt="yuv422p10le")
        content = bytearray(path.read_bytes())
        begin = content.index(b"mdat") + 4
        begin += int((len(content) - begin) * share)
        content[begin:] = b"\xff" * (len(content) - begin)
        path.write_bytes(content)

    return write


def _unknown_codec(path):
    clips.write_numbered(path, 9, codec="libvpx")
    path.write_bytes(path.read_bytes().replace(b"V_VP8", b"V_QQ8"))


def _picture(path):
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(path)


BAD_FILES = {
    # which file
    "no file chosen": (_file("", file=""), "No video is chosen.*Upload one"),
    "a file that is not there": (_file("missing.mp4"), "'missing.mp4' is not in the input folder.*Upload it"),
    "../ out of the input folder": (_outside("../outside.mp4"), "lies outside ComfyUI's folders.*Copy it there"),
    "../ out of the output folder": (_outside("../outside.mp4 [output]"), "lies outside ComfyUI's folders"),
    "an absolute path": (_outside("{outside}"), "lies outside ComfyUI's folders"),
    "a link out of the input folder": (_linked, "'linked.mp4' lies outside ComfyUI's folders"),
    "a null byte in the name": (_file("a", file="a\0.mp4"), "lies outside ComfyUI's folders"),
    "a folder": (_file("folder.mp4", lambda path: path.mkdir(exist_ok=True)), "folder.mp4 is a folder; a video file"),
    # what is in it
    "an empty file": (_file("empty.mp4", lambda path: path.write_bytes(b"")), r"empty.mp4 is empty \(0 bytes\)"),
    "a text file": (_file("notes.txt", lambda path: path.write_text("x " * 900)), "notes.txt is not a video file"),
    "text named .mp4": (_file("text.mp4", lambda path: path.write_text("x " * 900)), "text.mp4 cannot be opened"),
    "random bytes named .mkv": (
        _file("noise.mkv", lambda path: path.write_bytes(np.random.default_rng(1).bytes(20000))),
        "noise.mkv (cannot be opened|is not a video)",
    ),
    "a playlist with an address": (
        _file("list.m3u8", lambda p: p.write_text("#EXTM3U\n#EXTINF:9,\nhttp://localhost:9/a.ts\n#EXT-X-ENDLIST\n")),
        "list.m3u8 (cannot be opened|is not a video)",
    ),
    "sound only": (_file("sound.m4a", clips.write_sound), "sound.m4a has sound but no picture"),
    "music with a cover": (
        _file("cover.mp3", lambda path: clips.write_sound(path, "libmp3lame", cover=True)),
        "cover.mp3 has sound but no picture",
    ),
    "a still picture": (_file("still.png", _picture), r"still.png has 1 frame; motion needs at least 5 \(4n\+1\)"),
    "a still WebP": (_file("still.webp", _picture), "still.webp has 1 frame; motion needs at least 5"),
    "a damaged WebP": (
        _file("bad.webp", lambda path: path.write_bytes(b"RIFF\x40\0\0\0WEBPVP8 " + bytes(52))),
        "bad.webp (cannot be opened|has no picture that can be decoded)",
    ),
    "one frame": (_clip(1, "one.mp4"), "one.mp4 has 1 frame; motion needs at least 5.*load a longer clip"),
    "four frames": (_clip(4, "four.mp4"), "four.mp4 has 4 frames; motion needs at least 5"),
    "cut off before its index": (_file("cut.mp4", _cut_before_index), "cut.mp4 cannot be opened.*cut off"),
    "cut off after its index": (_file("cut_after.mp4", _cut_after_index), "no frame of it can be decoded.*cut off"),
    "every frame damaged": (_file("dead.mov", _blank_from(0.0)), "no frame of it can be decoded.*damaged"),
    "damaged from the middle on": (
        _file("half.mov", _blank_from(0.5)), r"half.mov can be decoded for \d+ of the 57 wanted frames only.*damaged",
    ),
    "an unknown codec": (_file("codec.mkv", _unknown_codec), "codec.mkv.*cannot be decoded here.*H.264"),
    # which part of it
    "start beyond the end": (_clip(start=5.0), r"Start is 5 s, but bad_input.mp4 ends at 2\.00 s. Lower start"),
    "start just before the end": (_clip(start=1.9), "has 3 frames from 1.9 s on; motion needs.*lower start"),
    "a rate that leaves too few": (_clip(fps=2.0), "has 4 frames at 2 fps; motion needs.*raise fps"),
    "negative start": (_clip(start=-1.0), "(?s)-1.0 smaller than min of 0.*start"),
    "start that is no number": (_clip(start=float("nan")), "Start is nan s; 0 or more is allowed"),
    "4 frames asked": (_clip(frames=4), r"Frames is 4; 5 to 1025 \(4n\+1\), or 0 for all"),
    "a negative number of frames": (_clip(frames=-5), "(?s)-5 smaller than min of 0.*frames"),
    "100000 frames": (_clip(frames=100000), "(?s)100000 bigger than max of 1025.*frames"),
    "half a frame per second": (_clip(fps=0.5), "Fps is 0.5; 1 to 240, or 0 for the video's own"),
    "1000 frames per second": (_clip(fps=1000.0), "(?s)1000.0 bigger than max of 240.*fps"),
    # which size
    "8 pixels wide": (_clip(width=8), "Width is 8 pixels; 32 to 4096, or 0 .*multiple of 16"),
    "10000 pixels high": (_clip(height=10000), "(?s)10000 bigger than max of 4096.*height"),
    "a fit that does not exist": (_clip(fit="zoom"), "'zoom'.*crop.*pad.*stretch"),
    "more than the memory holds": (
        _clip(frames=1025, fps=240.0, width=4096, height=4096),
        r"477 frames of 4096x4096 need 89\.4 GB of memory; .* GB may be used.*fewer frames",
    ),
}  # fmt: skip
