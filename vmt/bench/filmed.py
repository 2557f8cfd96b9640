"""Cases of a folder of clips, whose motion nobody knows: what can be followed in them stands in for the truth.

The folder holds videos and a manifest, `cases.json`:
[{"video": "dog.mp4", "prompt": "a robot that runs on a beach", "seed": 1}, ...]
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import InputError
from ..metrics.motion_report import report_motion
from ..video import ReferenceClip, ReferenceConfig, load_reference
from .case import Figures, HasFrames

MANIFEST = "cases.json"
CATEGORY = "filmed"
FORM = '[{"video": "dog.mp4", "prompt": "a robot that runs on a beach", "seed": 1}, ...]'


@dataclass(frozen=True)
class FilmedCase:
    """clip_name: the video as the list names it. config: how the workflow's loader would take it."""

    name: str
    clip_name: str
    video: Path
    caption: str
    seed: int
    config: ReferenceConfig
    category: str = CATEGORY
    one_thing: bool = False

    @property
    def about(self) -> str:
        return self.video.name

    @property
    def told(self) -> str:
        return f"reference: {self.video.name}; prompt: {self.caption}; seed {self.seed}"

    def clip(self) -> ReferenceClip:
        return load_reference(self.video, self.config)

    def perfect_transfer(self) -> None:
        return None

    def figures(
        self, clip: HasFrames, output: torch.Tensor, unguided: torch.Tensor | None, shows_reference: bool
    ) -> Figures:
        return report_motion(clip.frames, output, unguided).figures


def filmed_cases(folder: Path, config: ReferenceConfig) -> list[FilmedCase]:
    """The cases of a folder's manifest, in its order. The videos are not looked at yet.

    Raises:
        InputError: no manifest, one that is no list of cases, or a video that lies outside the folder.
    """
    manifest = Path(folder) / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{folder} has no {MANIFEST}. Write one beside the videos: {FORM}")
    try:
        listed = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{manifest} cannot be read as JSON: {error}. Its form: {FORM}") from error
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{manifest} lists no case. Its form: {FORM}")
    return [_case(folder, number, entry, config) for number, entry in enumerate(listed)]


def _case(folder: Path, number: int, entry, config: ReferenceConfig) -> FilmedCase:
    said = entry if isinstance(entry, dict) else {}
    video, prompt, seed = said.get("video"), said.get("prompt"), said.get("seed", number)
    known = {"video", "prompt", "seed"}
    if (
        not (isinstance(video, str) and isinstance(prompt, str) and type(seed) is int and seed >= 0)
        or set(said) - known
    ):
        raise InputError(
            f"Case {number} of {MANIFEST} is {json.dumps(entry)}; a video, a prompt and, if wanted, a seed of 0 or "
            f"more are needed. The list's form: {FORM}"
        )
    path = Path(folder) / video
    if not path.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(f"Case {number} of {MANIFEST} names {video!r}, outside the folder. Put the video into it.")
    return FilmedCase(f"{CATEGORY}-{number:03d}", video, path, prompt, seed, config)
