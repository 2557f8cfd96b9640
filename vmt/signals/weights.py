"""How much each place of the reference counts in the loss."""

import torch
from torch import Tensor

from .frame_pairs import distance_weights

WEIGHTS = ("motion", "none", "confidence", "motion_confidence")


def token_weights(rule: str, displacement_tok: Tensor, confidence: Tensor) -> Tensor:
    """Weights (P, S) float32 in 0..1, from the reference only.

    Args:
        rule: "none": 1. "motion": 0.3 + 0.7 |d| / max |d|, so that a small moving thing is heard beside a large still
            ground. "confidence": how much the match can be trusted. "motion_confidence": their product.
        displacement_tok: (P, S, 2) tokens. confidence: (P, S) 0..1.
    """
    weight = torch.ones_like(confidence)
    if rule in ("motion", "motion_confidence"):
        length = displacement_tok.norm(dim=-1)
        # A still reference has no largest motion; every token then weighs the same.
        weight = 0.3 + 0.7 * length / length.max().clamp(min=1e-6)
    if rule in ("confidence", "motion_confidence"):
        weight = weight * confidence
    return weight


def loss_weights(
    rule: str, span: int, pairs: Tensor, displacement: Tensor, confidence: Tensor, mask: Tensor | None = None
) -> Tensor:
    """What each place of each pair weighs in a loss: like confidence, (P, ...) float32, together 1.

    Args:
        rule: see `token_weights`. span: the largest frame distance. pairs: (P, 2). mask: like confidence, >= 0.
    """
    weight = token_weights(rule, displacement, confidence)
    weight = weight * distance_weights(pairs, span).view(-1, *[1] * (weight.ndim - 1))
    if mask is not None:
        weight = weight * mask
    return weight / weight.sum().clamp(min=1e-12)
