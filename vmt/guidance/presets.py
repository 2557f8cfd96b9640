"""The settings that most people choose among; each is a row of the bench.

Found on the demo model. Two signals guide: attention motion flow, which costs passes through the model, and latent
flow, which costs none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .config import GuidanceConfig

OFF = GuidanceConfig(strength=0.0)
BESIDE = 0.016 / 0.03  # of the latent flow's strength where attention of the same size guides: by more, edges roughen
# Down to where texture is settled, by then: a ground that moves is held to it. As many steps whatever the run has.
LATENT = GuidanceConfig(
    strength=0.03, sigma_end=0.35, max_steps=14, inner_steps=4, recompute_every=1, smoothing=0.7, share_forward=True
)


@dataclass(frozen=True)
class Preset:
    """How a video is guided by attention and by its predicted latent."""

    about: str
    attention: GuidanceConfig = OFF
    latent: GuidanceConfig = field(default=LATENT)

    def scaled(self, times: float) -> Preset:
        """The preset with so many times its strength; 0 is off."""
        attention, latent = (replace(c, strength=times * c.strength) for c in (self.attention, self.latent))
        return replace(self, attention=attention, latent=latent)

    def trusting(self, attention: float, whole: float = 0.0) -> Preset:
        """The preset for a reference whose motion attention shows by so much, 0..1; the latent flow makes up for it.

        Args:
            whole: how far the whole frame moves, 0..1. Its ground is moved by the latent flow, which keeps all its part
                then: by the half of it, a ground stood still under a fast pan of which attention saw the thing alone.
        """
        if self.attention.is_off:
            return self
        # Half as fine, attention leaves the latent flow all of its part.
        share = 1 + attention * (1 - whole) * (BESIDE - 1) if self.attention.size == "full" else 1.0
        return replace(
            self,
            attention=replace(self.attention, strength=attention * self.attention.strength),
            latent=replace(self.latent, strength=share * self.latent.strength),
        )


SHARED = GuidanceConfig(sigma_end=0.8, recompute_every=1, both_ways=True, smoothing=0.7, share_forward=True)
QUALITY = Preset(
    "two gradients through the model at up to fourteen steps",
    replace(SHARED, strength=0.056, inner_steps=2, max_steps=14),
)
PRESETS = {
    "quality": QUALITY,
    "balanced": Preset("the same at half the height and width", replace(QUALITY.attention, size="half")),
    "free": Preset("no pass through the model"),
}
