"""Where a motion LoRA is used while sampling, which need not be where it was learned.

A thing's way is decided at high noise: below, the LoRA has nothing to add, and guidance that took the motion further
would lose the thing. A ground under a moving camera shows itself at lower noise, and a model goes on from what it sees.
There the LoRA can act further down, and little in the pass of the negative prompt: classifier-free guidance then takes
the motion further, as it takes the prompt. Grounds follow so; a thing before the ground gets lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CHOICES = ("off", "auto")  # whether a camera's motion is told from the clip, and used so
LEARNED_ABOVE, USED_ABOVE = "setting_sigma_end", "used_above"  # in a file
POSITIVE, NEGATIVE = "used_under_positive", "used_under_negative"
MOST = 2.0  # that a file's shares are taken for


@dataclass(frozen=True)
class Use:
    """sigma_end: the noise level above which it acts, 0..1; 0: everywhere. positive, negative: by what share of its
    strength in the passes of the prompt and of the negative prompt."""

    sigma_end: float = 0.0
    positive: float = 1.0
    negative: float = 1.0

    def written(self) -> dict[str, str]:
        """As a file says it."""
        return {
            USED_ABOVE: f"{self.sigma_end:g}", POSITIVE: f"{self.positive:g}", NEGATIVE: f"{self.negative:g}",
        }  # fmt: skip


CAMERA = Use(0.35, 1.25, 0.25)


def use_of(whole: float, learned_above: float) -> Use:
    """Of a LoRA of a clip of which the whole frame moves by so much, 0..1, that learned above a noise level."""
    ends = (learned_above, min(learned_above, CAMERA.sigma_end)), (1, CAMERA.positive), (1, CAMERA.negative)
    return Use(*(round(start + whole * (end - start), 4) for start, end in ends))  # as many digits as a file holds


def use_in_file(about: Mapping[str, str]) -> Use:
    """What a file says; of one that does not say it, or in no number, where it learned, and everywhere."""
    learned = _share(about, LEARNED_ABOVE, 0.0, 1.0)
    return Use(_share(about, USED_ABOVE, learned, 1.0), *(_share(about, n, 1.0, MOST) for n in (POSITIVE, NEGATIVE)))


def _share(about: Mapping[str, str], name: str, otherwise: float, most: float) -> float:
    try:
        value = float(about.get(name, otherwise))
    except ValueError:
        return otherwise
    return min(most, max(0.0, value)) if value == value else otherwise
