"""How far attention is to be followed beside latent flow: not where it does not see the ground under a camera move.

Attention knows things, and says of a ground alike everywhere that it stands. Followed, it would hold the camera. That
is told from the reference alone: its latent flow is of one piece, as a camera's is, and attention does not show it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..signals.attention_flow import AttentionFlow

# Cosine of both flows: below the first attention does not see what the latent shows, from the second on it does. On
# references of the bench: of cameras -.05 to .23, of single objects .24 to .67.
BLIND, SEES = 0.1, 0.3
# `coherence` of the latent flow: from the second on it is a camera's (of 16 references of the bench .20 to .76).
SCATTERED, COHERENT = 0.0, 0.25
# A map of three numbers explains by chance 3 of as many places as are independent. Places whose neighbourhoods of 5x5
# overlap are not: measured on the latent flow of noise, .53 of 64 cells, .21 of 256, .09 of 576.
CHANCE = 51  # cells


def attention_trust(flow: AttentionFlow, half: bool = False) -> float:
    """0: latent flow alone is to guide, 1: attention as well, in full.

    Args:
        flow: of the reference; without its latent flow there is nothing to compare, and attention is trusted.
        half: what attention sees at half size.
    """
    seen = flow.half if half else flow
    if flow.latent is None or seen is None:
        return 1.0
    moved = flow.latent.displacement
    size = seen.grid.height, seen.grid.width
    shown = adaptive_avg_pool2d(moved.movedim(-1, 1), size).movedim(1, -1).flatten(1, 2)
    sees = sum(agreement(block.both_ways_tok, shown) for block in seen.blocks.values()) / len(seen.blocks)
    blind = 1 - _between(sees, BLIND, SEES)
    return 1 - blind * _between(coherence(moved), SCATTERED, COHERENT)


def agreement(a: Tensor, b: Tensor) -> float:
    """Cosine of two flows over all their places: -1..1, 0 if one of them stands still."""
    return float((a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-12))


def coherence(moved: Tensor) -> float:
    """Share of the square of a flow (P,h,w,2) that one affine map of the frame explains for each pair, beyond chance.

    1: all of it. 0: no more than of noise, or there are too few places to tell.
    """
    rows, columns = (torch.linspace(-1, 1, side, dtype=torch.float64) for side in moved.shape[1:3])
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).flatten(0, 1)
    design = torch.cat([places, torch.ones(len(places), 1, dtype=torch.float64)], 1)
    found = moved.double().flatten(1, 2)  # (P,S,2)
    explained = design @ torch.linalg.lstsq(design.expand(len(found), -1, -1), found).solution
    share, chance = float(explained.square().sum() / found.square().sum().clamp(min=1e-12)), CHANCE / len(places)
    return max(0.0, (share - chance) / (1 - chance)) if chance < 1 else 0.0


def _between(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
