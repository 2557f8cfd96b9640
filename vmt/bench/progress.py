"""How far a bench is, and how long it still takes: of what is made, since what is kept takes no time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """total: runs of the bench. to_make: those of them of which nothing is kept. After each run `add` it."""

    total: int
    to_make: int
    done: int = 0
    made: int = 0
    seconds: float = 0.0  # that the made ones took

    def add(self, seconds: float | None) -> None:
        """seconds: what the run took; None for one that was kept."""
        self.done += 1
        if seconds is not None:
            self.made += 1
            self.seconds += seconds

    def __str__(self) -> str:
        return f"{self.done}/{self.total} runs, {self.made} of them made in {self.seconds:.0f} s, {self._left()}"

    def _left(self) -> str:
        left = self.to_make - self.made
        if left and not self.made:
            return f"{left} left to make"
        return f"{self.seconds / max(1, self.made) * left / 60:.0f} min left"
