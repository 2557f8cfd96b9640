"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import torch

from ..errors import InputError


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """PSNR in dB of two clips of equal shape, values 0..1 (clamped to it); infinite where they are equal.

    Raises:
        InputError: the shapes differ.
    """
    if a.shape != b.shape:
        raise InputError(f"Clips of shape {tuple(a.shape)} and {tuple(b.shape)} were given; give two of one shape.")
    error = (a.float().clamp(0, 1) - b.float().clamp(0, 1)).double().pow(2).mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)
