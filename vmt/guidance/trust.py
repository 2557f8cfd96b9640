"""How far attention is to be followed beside latent flow: not where it does not see the ground under a camera move.

Attention knows things, and says of a ground alike everywhere that it stands. Followed, it would hold the camera. That
is told from the reference alone: its latent flow moves most of the frame in one piece, as a camera does, and attention
does not show it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..signals.attention_flow import AttentionFlow
from ..signals.latent_flow import LatentFlow

# Between the first and the second of each what is meant begins; told from 64 references of the bench.
# Cosine of both flows: of single objects .24 to .67 but for one slow line, of cameras up to .23, and up to .63 where a
# thing on a fast ground is seen alone.
SEES = 0.25, 0.45
COHERENT = 0.0, 0.12  # `coherence` of the latent flow: of cameras .15 and more
WIDE = 0.3, 0.45  # `spread` of the latent flow: of cameras .43 and more, of single objects up to .53
WHOLE = 0.53, 0.6  # likewise: where the ground moves too, and not only things
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
    camera = _between(coherence(moved), *COHERENT) * _between(spread(moved), *WIDE)
    return 1 - (1 - _between(sees, *SEES)) * camera


def moves_whole(flow: LatentFlow | None) -> float:
    """How far the whole frame of the reference moves, by its latent flow, ground and all: 0..1; 0 without one."""
    return 0.0 if flow is None else _between(spread(flow.displacement), *WHOLE)


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


def spread(moved: Tensor) -> float:
    """How much of the frame moves in a flow (P,h,w,2), 0..1: 1 if every place moves as far, a tenth if a tenth does.

    (mean |d|)^2 / mean |d|^2 over the frame; pairs count by how much moves in them.
    """
    far = moved.double().norm(dim=-1).flatten(1)
    return float(far.mean(1).square().sum() / far.square().mean(1).sum().clamp(min=1e-12))


def _between(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
