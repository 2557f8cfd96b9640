"""How long a tuning still takes, told by the steps that were made since this process took it up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class TimeLeft:
    """Approximate: steps of another stage are taken to cost as much for each latent cell as those that were made.

    Args:
        stages: (steps, latent cells of a sample) of each. now: a clock, in seconds.
    """

    def __init__(self, stages: list[tuple[int, int]], now: Callable[[], float] = time.monotonic):
        self._stages, self._now = stages, now
        self._first: tuple[int, int, float] | None = None  # stage, step and time that the rate is taken from
        self._rate: float | None = None  # seconds a latent cell

    def minutes(self, stage: int, step: int) -> int | None:
        """Whole minutes that are left, 1 or more; None as long as no rate is known, and at the end.

        Args:
            stage, step: the step that has just been made, from 0 and from 1. A run may begin at any of them.
        """
        now, (steps, cells) = self._now(), self._stages[stage]
        if self._first is None or self._first[0] != stage:
            self._first = (stage, step, now)
        else:
            _, first, start = self._first
            self._rate = (now - start) / ((step - first) * cells)
        left = (steps - step) * cells + sum(more * each for more, each in self._stages[stage + 1 :])
        if self._rate is None or not left:
            return None
        return max(1, math.ceil(left * self._rate / 60))
