"""The options of `demo`. Read before the set-up, so that a typing error is told at once, and again inside it."""

from __future__ import annotations

import argparse
from pathlib import Path

LARGEST_SEED = 2**64 - 1


def _file(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a file. Give the path of a video, for example clip.mp4.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"{text} cannot be read ({error.strerror}). Change the file's permissions, or give another video."
        ) from error
    return path


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is no seed. Give a whole number from 0 to 2^64 - 1.")
    return int(text)


def _folder(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file. Give a folder; it is made if it is not there.")
    return path


def demo(arguments: list[str]) -> argparse.Namespace:
    """reference: Path | None, prompt: str | None, seed: int | None, out: Path. Exits on --help and on errors."""
    parser = argparse.ArgumentParser(
        prog="python3 -m vmt demo",
        description="Transfers the motion of a reference clip to another object, in a real ComfyUI, with the small "
        "model of this repository, and writes videos, pictures and a report. Without options: the clip, prompt and "
        "seed that the workflow has.",
    )
    parser.add_argument("--reference", type=_file, metavar="FILE", help="the video whose motion is taken")
    parser.add_argument("--prompt", metavar="TEXT", help="what to show; the small model knows few words and warns")
    parser.add_argument("--seed", type=_seed, metavar="N", help="another seed, another video")
    parser.add_argument(
        "--out", type=_folder, metavar="DIR", default=_folder("vmt-demo-out"), help="default: %(default)s"
    )
    return parser.parse_args(arguments)
