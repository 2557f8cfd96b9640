"""Which inner iterations reuse a gradient instead of computing one.

One gradient costs a forward and a backward pass through the model; applying it again costs nothing.
"""

from torch import Tensor


class GradientSkip:
    """Keeps the last gradient of a guided step, and counts what was computed over a whole run.

    Iteration j of a guided step computes its gradient where j is a multiple of `recompute_every`, so the first one
    always does: a gradient of another noise level is never used. The other iterations apply the last one again.
    Source: FastVMT, arXiv 2602.05551, step-skipping of gradients (every 3rd of 10).
    """

    def __init__(self, recompute_every: int = 1):
        self.recompute_every = recompute_every
        self.num_evaluations = 0  # gradients computed in the whole run
        self.num_updates = 0  # inner iterations in the whole run
        self._held: tuple[Tensor, Tensor] | None = None

    def is_due(self, j: int) -> bool:
        """Whether iteration j needs a new gradient; the first of a guided step always does."""
        return self._held is None or j % self.recompute_every == 0

    def hold(self, loss: Tensor, gradient: Tensor) -> None:
        """Keep a new gradient and the loss (B,) it belongs to."""
        self._held = loss, gradient
        self.num_evaluations += 1

    def held(self) -> tuple[Tensor, Tensor]:
        """The last (loss, gradient)."""
        self.num_updates += 1
        return self._held
