"""Cuts in a film: from one shot to the next nothing has moved, the picture is another one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

SIDE = 64  # a frame's colours are counted in a picture of so many pixels a side
LEVELS = 9  # of a colour; what lies between two counts for both, so that a flicker changes little
CHANGE = 0.12  # share of a picture's colours that a cut changes at least
TIMES = 3.0  # as much as changes about then
NEAR = 3  # steps to each side that tell what changes about then


def find_cuts(frames: Tensor) -> list[int]:
    """Numbers of the frames that begin another shot.

    A step is a cut if the colours of the whole picture change much, and far more than in the steps around it. What
    moves, the camera too, changes the places of colours and not their shares. Shots of the same colours pass for one.

    Args:
        frames: (T, H, W, 3) float, 0..1.
    Source: the rule is that of PySceneDetect's adaptive detector, the measure its histogram detector's.
    """
    if len(frames) < 3:
        return []  # nothing around a step
    shares = torch.stack([_shares(frame) for frame in frames])
    steps = (shares.diff(dim=0).abs().sum(1) / 2).mean(1).tolist()
    cuts = []
    for i, step in enumerate(steps):
        around = steps[max(0, i - NEAR) : i] + steps[i + 1 : i + 1 + NEAR]
        if step > CHANGE and step > TIMES * sorted(around)[len(around) // 2]:
            cuts.append(i + 1)
    return cuts


def _shares(frame: Tensor) -> Tensor:
    """(LEVELS, 3): how much of a frame (H, W, 3) has each level of each colour."""
    small = adaptive_avg_pool2d(frame.movedim(-1, 0)[None].float(), SIDE)[0].flatten(1).T
    levels = torch.arange(LEVELS, device=frame.device)[:, None, None]
    return (1 - (small * (LEVELS - 1) - levels).abs()).clamp_min(0).mean(1)
