"""Where a motion LoRA is used while sampling, which need not be where it was learned.

A thing's way is decided at high noise: below, the LoRA has nothing to add, and guidance that took the motion further
would lose the thing. A ground under a moving camera shows itself at lower noise, and a model goes on from what it sees.
There the LoRA acts further down, and in the pass of the negative prompt not at all: classifier-free guidance then takes
the motion further by as much as it takes the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CHOICES = ("auto", "off")  # whether a camera's motion is told from the clip, and used so
LEARNED_ABOVE, USED_ABOVE, NEGATIVE = "setting_sigma_end", "used_above", "used_under_negative"  # in a file


@dataclass(frozen=True)
class Use:
    """sigma_end: the noise level above which it acts, 0..1; 0: everywhere. negative: by what share of its strength in
    the pass of the negative prompt, 0..1."""

    sigma_end: float = 0.0
    negative: float = 1.0

    def written(self) -> dict[str, str]:
        """As a file says it."""
        return {USED_ABOVE: f"{self.sigma_end:g}", NEGATIVE: f"{self.negative:g}"}


CAMERA = Use(0.35, 0.0)


def use_of(whole: float, learned_above: float) -> Use:
    """Of a LoRA of a clip of which the whole frame moves by so much, 0..1, that learned above a noise level."""
    end = min(learned_above, CAMERA.sigma_end)
    level, share = learned_above + whole * (end - learned_above), 1 + whole * (CAMERA.negative - 1)
    return Use(round(level, 4), round(share, 4))  # as many digits as a file holds


def use_in_file(about: Mapping[str, str]) -> Use:
    """What a file says; of one that does not say it, or in no number, where it learned, and everywhere."""
    learned = _share(about, LEARNED_ABOVE, 0.0)
    return Use(_share(about, USED_ABOVE, learned), _share(about, NEGATIVE, 1.0))


def _share(about: Mapping[str, str], name: str, otherwise: float) -> float:
    try:
        value = float(about.get(name, otherwise))
    except ValueError:
        return otherwise
    return min(1.0, max(0.0, value)) if value == value else otherwise
