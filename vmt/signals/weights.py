"""How much each token of the reference counts in the loss."""

import torch
from torch import Tensor

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
