"""Cases of a folder of clips, whose motion nobody knows: what can be followed in them stands in for the truth.

The folder holds videos and a manifest, `cases.json`:
[{"video": "dog.mp4", "prompt": "a robot that runs on a beach", "seed": 1}, ...]
An entry that cannot be used is a case that is left out, and the others are run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from ..errors import InputError
from ..metrics.motion_report import ClipMotion, report_motion
from ..video import ReferenceClip, ReferenceConfig, load_reference
from ..video.endings import VIDEO_ENDINGS
from .case import Figures, HasFrames

MANIFEST = "cases.json"
CATEGORY = "filmed"
ENTRY = '{"video": "dog.mp4", "prompt": "a robot that runs on a beach", "seed": 1}'
FORM = f"[{ENTRY}, ...]"


@dataclass(frozen=True)
class FilmedCase:
    """clip_name: the video as the list names it. config: how the workflow's loader would take it. fault: why the entry
    cannot be used."""

    name: str
    clip_name: str
    video: Path
    caption: str
    seed: int
    config: ReferenceConfig
    category: str = CATEGORY
    one_thing: bool = False
    colours: tuple[str, ...] = ()
    fault: str = ""

    @property
    def about(self) -> str:
        return self.video.name

    @property
    def told(self) -> str:
        return f"reference: {self.video.name}; prompt: {self.caption}; seed {self.seed}"

    def clip(self) -> ReferenceClip:
        if self.fault:
            raise InputError(self.fault)
        return load_reference(self.video, self.config)

    def perfect_transfer(self) -> None:
        return None

    def figures(
        self, clip: HasFrames, output: torch.Tensor, unguided: torch.Tensor | None, shows_reference: bool
    ) -> Figures:
        return report_motion(_measured(clip.frames), output, unguided).figures


@lru_cache(1)
def _measured(frames: torch.Tensor) -> ClipMotion:
    """Of a reference, kept for all methods of its case."""
    return ClipMotion.of(frames)


def filmed_cases(folder: Path, config: ReferenceConfig) -> list[FilmedCase]:
    """The cases of a folder's manifest, in its order. The videos are not looked at yet.

    Raises:
        InputError: no manifest, one that is no list, or one without any entry that can be used.
    """
    manifest = Path(folder) / MANIFEST
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is no folder. Name the one that holds your videos and {MANIFEST}.")
    if not manifest.is_file():
        raise InputError(_no_manifest(Path(folder)))
    try:
        listed = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{manifest} cannot be read as JSON: {error}. Its form: {FORM}") from error
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{manifest} lists no case. Its form: {FORM}")
    cases = [_case(Path(folder), number, entry, config) for number, entry in enumerate(listed)]
    if all(case.fault for case in cases):
        raise InputError(f"No case of {manifest} can be used. {cases[0].fault}")
    return cases


def _no_manifest(folder: Path) -> str:
    videos = sorted(file.name for file in folder.iterdir() if file.name.lower().endswith(VIDEO_ENDINGS))
    if not videos:
        return (
            f"{folder} has neither {MANIFEST} nor videos. Put videos into it, and beside them a {MANIFEST} that names "
            f"each: {FORM}"
        )
    entry = json.dumps({**json.loads(ENTRY), "video": videos[0]})
    return (
        f"{folder} has no {MANIFEST}, only {len(videos)} video{'s' if len(videos) > 1 else ''}. Write one beside them, "
        f"with an entry for each that is to be run, and the prompt of what is to be made of it: [{entry}, ...]"
    )


def _case(folder: Path, number: int, entry, config: ReferenceConfig) -> FilmedCase:
    said = entry if isinstance(entry, dict) else {}
    video, prompt, seed = said.get("video"), said.get("prompt"), said.get("seed", number)
    known = {"video", "prompt", "seed"}
    name, fault = f"{CATEGORY}-{number:03d}", ""
    if (
        not (isinstance(video, str) and isinstance(prompt, str) and type(seed) is int and seed >= 0)
        or set(said) - known
    ):
        fault = (
            f"Case {number} of {MANIFEST} is {json.dumps(entry)}; a video, a prompt and, if wanted, a seed of 0 or "
            f"more are needed. The list's form: {FORM}"
        )
    elif not (folder / video).resolve().is_relative_to(folder.resolve()):
        fault = f"Case {number} of {MANIFEST} names {video!r}, outside the folder. Put the video into it."
    if fault:
        shown = f"entry {number}"
        return FilmedCase(name, shown, folder / shown, "", number, config, fault=fault)
    return FilmedCase(name, video, folder / video, prompt, seed, config)
