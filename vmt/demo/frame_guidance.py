"""Guidance of the demo model by itself with its frames kept apart, so that it can be trained into the weights.

A model in which a block's frames do not see each other draws the thing well and its path badly: what the whole model
says beyond that is what it knows of motion, and more of it mends the path. This is spatiotemporal skip guidance (arXiv
2411.18664, section 3.2) with a block's attention kept within the frame instead of skipped. In sampling it costs one
more forward a step; trained into the weights (arXiv 2210.03142, section 3) it costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .wan_dit import WanDiT


@dataclass(frozen=True)
class FrameGuidance:
    """velocity = whole + strength (whole - apart), full from noise level `full` upwards, none from `lowest` down."""

    blocks: tuple[int, ...] = (2,)
    strength: float = 3.0
    full: float = 0.8
    lowest: float = 0.4
    cfg: float = 4.0  # scale of classifier-free guidance that the model will be sampled with

    def strength_at(self, sigma: torch.Tensor) -> torch.Tensor:
        """Strength at noise levels of any shape: linear between `lowest`, where it is 0, and `full`."""
        return self.strength * ((sigma - self.lowest) / (self.full - self.lowest)).clamp(0, 1)

    def velocity(
        self, dit: WanDiT, x: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor, captioned: torch.Tensor
    ) -> torch.Tensor:
        """Velocity to learn, (B,16,F,h,w) float32, of latents at noise levels (B,) under text (B,M,4096).

        Only a caption's velocity is moved, by 1 / cfg of the way, for classifier-free guidance, u + cfg (w - u), makes
        that the whole way. Moving the null prompt's too would leave cfg times the difference of the two on top.

        Args:
            captioned: (B,) bool, whose text is not the null prompt.
        """
        whole = dit(x, 1000 * sigma, context).float()
        apart = dit(x, 1000 * sigma, context, apart=self.blocks).float()
        share = torch.where(captioned, self.strength_at(sigma) / self.cfg, 0)
        return whole + share.view(-1, 1, 1, 1, 1) * (whole - apart)
