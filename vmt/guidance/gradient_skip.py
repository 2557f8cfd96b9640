"""Which inner iterations reuse a gradient instead of computing one.

One gradient costs a forward and a backward pass through the model; applying it again costs nothing.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cosine_similarity


class GradientSkip:
    """Keeps the last gradient of a run.

    Inside a guided step, iteration j computes its gradient where j is a multiple of `recompute_every`; the other
    iterations apply the last one again. Source: FastVMT, arXiv 2602.05551, step-skipping of gradients (every 3rd of
    10).

    From one guided step to the next a gradient is carried over for up to `reuse_steps` further steps, as long as the
    clip that the sampler predicts has not turned: its motion, what it shows less its mean over time, still points where
    it did when the gradient was computed, by a cosine of `turn` or more. The rule is ours.
    """

    def __init__(self, recompute_every: int = 1, reuse_steps: int = 0, turn: float = 1.0):
        self.recompute_every, self.reuse_steps, self.turn = recompute_every, reuse_steps, turn
        self._held: tuple[Tensor, Tensor] | None = None
        self._motion: Tensor | None = None  # of the clip that was predicted when the gradient was computed
        self._age = 0  # guided steps since then
        self._carried = False

    def begin_step(self, clip: Tensor | None) -> None:
        """A guided step begins. clip: the clean clip (B,C,F,h,w) that is predicted; None where nothing is yet."""
        motion = None if clip is None else clip.float() - clip.float().mean(2, keepdim=True)
        self._age += 1
        comparable = self._held is not None and self._motion is not None and motion is not None
        self._carried = comparable and self._age <= self.reuse_steps and self._still_points_to(motion)
        if not self._carried:
            self._motion, self._age = motion, 0

    def _still_points_to(self, motion: Tensor) -> bool:
        cosine = cosine_similarity(motion.flatten(1), self._motion.flatten(1))
        return bool((cosine >= self.turn).all())

    def is_due(self, j: int) -> bool:
        """Whether iteration j needs a new gradient."""
        return self._held is None or (j % self.recompute_every == 0 and not self._carried)

    def hold(self, loss: Tensor, gradient: Tensor) -> None:
        """Keep a new gradient and the loss (B,) it belongs to."""
        self._held = loss, gradient

    def held(self) -> tuple[Tensor, Tensor]:
        """The last (loss, gradient)."""
        return self._held
