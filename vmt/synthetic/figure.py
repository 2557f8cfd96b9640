"""An articulated figure: joints by forward kinematics, four ways of moving."""

from __future__ import annotations

import math
from random import Random

import torch

from ..errors import check_choice
from .scene import Figure

# Lengths in units of the figure's height.
TORSO, HEAD, ARM, LEG = 0.30, 0.10, 0.17, 0.22
HIP_WIDTH, SHOULDER_WIDTH = 0.05, 0.09
FIGURE_MOTIONS = ("walk", "wave", "jump", "turn")
THICKNESS = (0.060, 0.075, 0.034, 0.030, 0.034, 0.030, 0.042, 0.036, 0.042, 0.036)


def _limb(start: torch.Tensor, upper: torch.Tensor, lower: torch.Tensor, length: float) -> list[torch.Tensor]:
    """Two bones hanging from `start` (T,2) at angles (T,) from straight down; + swings to the right."""
    middle = start + length * torch.stack([upper.cos(), upper.sin()], -1)
    end = middle + length * torch.stack([lower.cos(), lower.sin()], -1)
    return [torch.stack([start, middle], 1), torch.stack([middle, end], 1)]


def _pose(hip: torch.Tensor, turn: torch.Tensor, arms, legs) -> torch.Tensor:
    """Bones (T,10,2,2) in units of the height: head, torso, two arms, two legs. `turn` (T,) narrows the figure."""
    up = torch.tensor([-1.0, 0.0])
    side = torch.stack([torch.zeros_like(turn), turn], -1)
    neck = hip + TORSO * up
    bones = [torch.stack([neck + 1.6 * HEAD * up] * 2, 1), torch.stack([hip, neck], 1)]
    for sign, (upper, lower) in zip((-1, 1), arms, strict=True):
        bones += _limb(neck + sign * SHOULDER_WIDTH * side, upper * turn, lower * turn, ARM)
    for sign, (upper, lower) in zip((-1, 1), legs, strict=True):
        bones += _limb(hip + sign * HIP_WIDTH * side, upper * turn, lower * turn, LEG)
    return torch.stack(bones, 1)


def make_figure(motion: str, colour: str, rng: Random, num_frames: int, height: int, width: int) -> Figure:
    """A figure that walks, waves, jumps or turns, in world units equal to pixels of a (height, width) frame.

    Raises InputError for another motion. The whole figure stays inside the frame.
    """
    check_choice("motion", motion, FIGURE_MOTIONS)
    t = torch.linspace(0, 1, num_frames)
    zero, one = torch.zeros_like(t), torch.ones_like(t)
    phase = 2 * math.pi * (rng.uniform(1.2, 2.2) * t + rng.random())
    swing = rng.uniform(0.45, 0.75)
    hang = 0.18
    arms, legs = (
        [(-hang * one, -hang * one), (hang * one, hang * one)],
        [(-0.12 * one, -0.06 * one), (0.12 * one, 0.06 * one)],
    )
    hip, turn, walked = torch.zeros(num_frames, 2), one, 0.0  # walked: share of the free width
    size = rng.uniform(0.58, 0.72) * height
    if motion == "walk":
        legs = [
            (swing * s * phase.sin(), swing * s * phase.sin() - 0.35 * (s * phase.cos()).clamp_min(0)) for s in (-1, 1)
        ]
        arms = [(-0.8 * swing * s * phase.sin(), -0.8 * swing * s * phase.sin() + 0.25) for s in (-1, 1)]
        walked = rng.choice((-1, 1)) * rng.uniform(0.65, 0.95)
        hip = torch.stack([-0.02 * (2 * phase).cos(), zero], -1)
    elif motion == "wave":
        side = rng.choice((0, 1))
        lift = (2.2 + 0.1 * phase.sin()) * (1 if side else -1)
        arms[side] = (lift, lift + (0.8 * (2 * phase).sin() + 0.3) * (1 if side else -1))
    elif motion == "jump":
        hop = phase.sin().clamp_min(0) if rng.random() < 0.5 else 0.5 - 0.5 * phase.cos()
        crouch = 0.5 * (1 - hop)
        hip = torch.stack([-rng.uniform(0.14, 0.22) * hop, zero], -1)
        legs = [(s * (0.12 + crouch * 0.5), s * (0.06 - crouch * 0.5)) for s in (-1, 1)]
        arms = [(s * (0.3 + 1.5 * hop), s * (0.3 + 1.9 * hop)) for s in (-1, 1)]
    else:  # turn
        turn = (0.5 * phase).cos()
        arms = [(s * 1.2 * one, s * 1.3 * one) for s in (-1, 1)]
    bones = _pose(hip, turn, arms, legs) * size
    thickness = torch.tensor([HEAD, *THICKNESS[1:]]) * size
    reach = thickness[None, :, None, None]
    place = torch.tensor([rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.8)])
    frame = torch.tensor([height - 1.0, width - 1.0])
    low, room = _room(bones, reach, frame)
    bones = bones + torch.stack([zero, walked * room[1] * t], -1)[:, None, None]
    low, room = _room(bones, reach, frame)
    return Figure(colour, bones - low + room * place, thickness, motion)


def _room(bones, reach, frame):
    """Lowest (row, col) that any bone reaches, and how far the whole motion may be shifted inside the frame."""
    low, high = (bones - reach).amin((0, 1, 2)), (bones + reach).amax((0, 1, 2))
    return low, (frame - (high - low)).clamp_min(0)
