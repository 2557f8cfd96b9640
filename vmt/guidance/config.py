"""Settings of latent guidance; the nodes take their defaults from here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError

UPDATES = ("rms", "adam", "sign")
SIZES = ("full", "half")


@dataclass(frozen=True)
class GuidanceConfig:
    """How strongly, when and how the noisy latent is moved.

    Defaults were found on small models, except where a field says otherwise. FastVMT's published setting
    (arXiv 2602.05551) is update="adam", strength=.003, strength_decay=1/3, inner_steps=10, recompute_every=3.
    """

    strength: float = 0.04  # RMS size of one inner step, in standard deviations of the noise; 0 = off
    sigma_start: float = 1.0  # guided while sigma_end <= sigma <= sigma_start
    sigma_end: float = 0.88
    max_steps: int = 0  # at most so many denoising steps are guided, spread evenly over the range; 0 = all in it
    inner_steps: int = 4  # updates of the latent per guided denoising step
    recompute_every: int = 2  # a gradient is evaluated on every n-th inner step and re-applied in between
    reuse_steps: int = 0  # a gradient also serves up to so many further denoising steps, until the prediction turns
    turn: float = 0.9  # cosine of the predicted motion then and now, below which it has turned
    update: Literal["rms", "adam", "sign"] = "rms"
    strength_decay: float = 0.0  # inner step j of J uses strength * (1 - strength_decay * j / J)
    loss_floor: float = 1e-8  # samples below are left alone: motion off by 1e-4 of the frame is rounding, not error
    window_share: float = (
        0.0  # of the corresponding-window loss beside the AMF's, by length of their gradients; 0 = off
    )
    both_ways: bool = False  # attention: half the difference of what is read from frame to frame and back
    smoothing: float = 0.0  # blur of a gradient over the frame: standard deviation in latent cells; 0 = none
    look_ahead: bool = True  # read the motion in the clip that is predicted, at the reference's noise level
    share_forward: bool = False  # look ahead by the sampler's last prediction, not by a forward pass at each gradient
    size: Literal["full", "half"] = "full"  # of the video that attention is read in, see `half_size`
    blocks: tuple[int, ...] | None = None  # tapped blocks; None = those the reference was measured on

    def __post_init__(self):
        self._check("strength", self.strength >= 0, "0 or more")
        self._check("sigma_start", 0 <= self.sigma_start <= 1, "0 to 1")
        self._check("sigma_end", 0 <= self.sigma_end <= 1, "0 to 1")
        self._check("max_steps", self.max_steps >= 0, "0 or more")
        self._check("inner_steps", self.inner_steps >= 0, "0 or more")
        self._check("recompute_every", self.recompute_every >= 1, "1 or more")
        self._check("reuse_steps", self.reuse_steps >= 0, "0 or more")
        self._check("turn", -1 <= self.turn <= 1, "-1 to 1")
        self._check("update", self.update in UPDATES, " or ".join(UPDATES))
        self._check("size", self.size in SIZES, " or ".join(SIZES))
        self._check("strength_decay", 0 <= self.strength_decay <= 1, "0 to 1")
        self._check("window_share", self.window_share >= 0, "0 or more")
        self._check("smoothing", self.smoothing >= 0, "0 or more")
        self._check("loss_floor", self.loss_floor >= 0, "0 or more")
        if self.sigma_end > self.sigma_start:
            raise InputError(
                f"sigma_start is {self.sigma_start} and sigma_end is {self.sigma_end}; noise falls while sampling, so "
                "sigma_start must not be below sigma_end. Exchange the two values."
            )

    def _check(self, name: str, allowed: bool, rule: str) -> None:
        if not allowed:
            raise InputError(f"{name} is {getattr(self, name)!r}; {rule} is allowed. Change {name}.")

    @property
    def is_off(self) -> bool:
        """True if no latent can ever be changed."""
        return self.strength == 0 or self.inner_steps == 0

    def guides(self, sigma: float) -> bool:
        """Whether a denoising step at noise level `sigma` is guided; both ends count, within float32 rounding."""
        return not self.is_off and self.sigma_end - 1e-6 <= float(sigma) <= self.sigma_start + 1e-6

    def guided_levels(self, levels: Sequence[float], needs_prediction: bool = False) -> list[float]:
        """Which of a run's noise levels, falling, are guided: at most `max_steps` of those in the range.

        At the very first nothing has been predicted yet. What needs a prediction leaves it out; with `share_forward` it
        costs a pass, and is left out where steps are left out anyway.
        """
        within = [level for level in levels if self.guides(level)]
        too_many = bool(self.max_steps) and len(within) > self.max_steps
        if (needs_prediction or (too_many and self.look_ahead and self.share_forward)) and within[:1] == levels[:1]:
            del within[:1]
        if not self.max_steps or len(within) <= self.max_steps:
            return within
        apart = (len(within) - 1) / max(1, self.max_steps - 1)
        return [within[round(i * apart)] for i in range(self.max_steps)]

    def step_size(self, j: int) -> float:
        """Step of inner iteration j, in standard deviations of the noise."""
        return self.strength * (1 - self.strength_decay * j / self.inner_steps)
