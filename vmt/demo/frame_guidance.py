"""Guidance of the demo model by itself with its frames kept apart, so that it can be trained into the weights.

A model whose attention does not reach across the clip draws the thing well and its path badly: what the whole model
says beyond that is what it knows of motion, and more of it mends the path. This is spatiotemporal skip guidance (arXiv
2411.18664, section 3.2) with attention narrowed in time instead of skipped. In sampling it costs one more forward for
each narrowing; trained into the weights (arXiv 2210.03142, section 3) it costs nothing.

One narrowing leaves a bias: away from single frames (reach 0), the steps within a latent frame come out larger than
those between two, away from neighbouring frames (reach 1) smaller. Together they come out even.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .wan_dit import WanDiT


@dataclass(frozen=True)
class Narrowing:
    """Guidance by `strength` away from the model in whose `blocks` frames see those at most `reach` away."""

    blocks: tuple[int, ...]
    reach: int
    strength: float


@dataclass(frozen=True)
class FrameGuidance:
    """Sampling with classifier-free guidance and guidance away from narrowed attention, at high noise only.

    velocity = whole + share ((cfg - 1) (whole - null) + sum of strength (whole - narrowed)). The share is 1 from noise
    level `full` upwards and 0 from `lowest` down: where a thing is and goes is settled above; below, guidance of either
    kind only makes the steps within a latent frame uneven.
    """

    narrowings: tuple[Narrowing, ...] = (Narrowing((2,), 0, 3.0), Narrowing((0, 1, 2, 3, 4, 5), 1, 1.0))
    full: float = 0.8
    lowest: float = 0.75
    cfg: float = 4.0  # scale of classifier-free guidance that the model will be sampled with

    def share_at(self, sigma: torch.Tensor) -> torch.Tensor:
        """Share of the guidance at noise levels of any shape: linear between `lowest`, where it is 0, and `full`."""
        return ((sigma - self.lowest) / (self.full - self.lowest)).clamp(0, 1)

    def velocity(
        self, dit: WanDiT, x: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor, null: torch.Tensor
    ) -> torch.Tensor:
        """Velocity to learn, (B,16,F,h,w) float32, of latents at noise levels (B,) under text (B,M,4096).

        Under the null prompt it is the model's own, u. A caption's is u + (guided - u) / cfg, so that sampling with
        classifier-free guidance of scale cfg, at all noise levels, goes as far as `guided` and no further.

        Args:
            null: the null prompt (M,4096); a text equal to it is not guided.
        """
        timestep = 1000 * sigma
        whole = dit(x, timestep, context).float()
        unconditional = dit(x, timestep, null.expand_as(context)).float()
        further = (self.cfg - 1) * (whole - unconditional)
        for narrowing in self.narrowings:
            narrowed = dit(x, timestep, context, narrowing.blocks, narrowing.reach).float()
            further += narrowing.strength * (whole - narrowed)
        captioned = (context != null).flatten(1).any(1)
        share = self.share_at(sigma) * captioned
        guided = whole + share.view(-1, 1, 1, 1, 1) * further
        return unconditional + (guided - unconditional) / torch.where(captioned, self.cfg, 1).view(-1, 1, 1, 1, 1)
