"""What the bench asks of a case, drawn or filmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

Figures = dict[str, float | bool | None]


@dataclass(frozen=True)
class Result:
    """Figures of one method on one case with "seconds", or why there are none."""

    figures: Figures | None
    skipped: str = ""


class HasFrames(Protocol):
    frames: torch.Tensor  # (T,H,W,3) float 0..1


class Case(Protocol):
    """name: unlike any other's of the run. clip_name: that of the reference, which cases may share. about: what moves
    how; cases of one `about` are no other motion."""

    name: str
    clip_name: str
    category: str
    about: str
    caption: str  # the prompt
    seed: int
    told: str  # a line for the page
    one_thing: bool  # the clip shows one thing or figure before a ground of another colour, whose way can be drawn
    colours: tuple[str, ...]  # of its things and the prompt's, where it shows several; empty otherwise
    fault: str  # what is wrong with it, if somebody wrote it into a list and it cannot be run; empty otherwise

    def clip(self) -> HasFrames:
        """The reference, as the model is to see it. Raises InputError if it cannot be had."""

    def perfect_transfer(self) -> torch.Tensor | None:
        """Frames like the clip's of what the prompt names, moving just as the reference moves; None where nobody can
        draw that."""

    def figures(
        self, clip: HasFrames, output: torch.Tensor, unguided: torch.Tensor | None, shows_reference: bool
    ) -> Figures:
        """Every figure of a result (T,H,W,3), None where one is undefined.

        Args:
            clip: of `clip()`. unguided: the same prompt and seed without guidance. shows_reference: the result is to
                show what the reference shows, not what the prompt names.
        Raises:
            InputError: the result has another form than the reference.
        """
