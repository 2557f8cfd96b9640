"""An articulated figure: joints by forward kinematics, four ways of moving."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch

from ..errors import check_choice
from .scene import Figure

# Lengths in units of the figure's height.
TORSO, HEAD, ARM, LEG = 0.30, 0.10, 0.17, 0.22
HIP_WIDTH, SHOULDER_WIDTH = 0.05, 0.09
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


@dataclass
class Pose:
    """A figure over T frames: angles (T,) of (upper, lower) per limb, left before right, in radians from straight down,
    positive to the right; hip (T,2) in units of the height; turn (T,) narrows it; walked: share of the free width."""

    arms: list
    legs: list
    hip: torch.Tensor
    turn: torch.Tensor
    walked: float = 0.0


def standing(phase: torch.Tensor) -> Pose:
    """Arms and legs hanging; what the motions begin with."""
    zero, one, hang = torch.zeros_like(phase), torch.ones_like(phase), 0.18
    arms = [(-hang * one, -hang * one), (hang * one, hang * one)]
    legs = [(-0.12 * one, -0.06 * one), (0.12 * one, 0.06 * one)]
    return Pose(arms, legs, torch.stack([zero, zero], -1), one)


def walk(rng: Random, phase: torch.Tensor, swing: float) -> Pose:
    pose = standing(phase)
    pose.legs = [
        (swing * s * phase.sin(), swing * s * phase.sin() - 0.35 * (s * phase.cos()).clamp_min(0)) for s in (-1, 1)
    ]
    pose.arms = [(-0.8 * swing * s * phase.sin(), -0.8 * swing * s * phase.sin() + 0.25) for s in (-1, 1)]
    pose.walked = rng.choice((-1, 1)) * rng.uniform(0.65, 0.95)
    pose.hip = torch.stack([-0.02 * (2 * phase).cos(), torch.zeros_like(phase)], -1)
    return pose


def wave(rng: Random, phase: torch.Tensor, swing: float) -> Pose:
    pose, side = standing(phase), rng.choice((0, 1))
    lift = (2.2 + 0.1 * phase.sin()) * (1 if side else -1)
    pose.arms[side] = (lift, lift + (0.8 * (2 * phase).sin() + 0.3) * (1 if side else -1))
    return pose


def jump(rng: Random, phase: torch.Tensor, swing: float) -> Pose:
    pose = standing(phase)
    hop = phase.sin().clamp_min(0) if rng.random() < 0.5 else 0.5 - 0.5 * phase.cos()
    crouch = 0.5 * (1 - hop)
    pose.hip = torch.stack([-rng.uniform(0.14, 0.22) * hop, torch.zeros_like(phase)], -1)
    pose.legs = [(s * (0.12 + crouch * 0.5), s * (0.06 - crouch * 0.5)) for s in (-1, 1)]
    pose.arms = [(s * (0.3 + 1.5 * hop), s * (0.3 + 1.9 * hop)) for s in (-1, 1)]
    return pose


def turn(rng: Random, phase: torch.Tensor, swing: float) -> Pose:
    pose, one = standing(phase), torch.ones_like(phase)
    pose.turn = (0.5 * phase).cos()
    pose.arms = [(s * 1.2 * one, s * 1.3 * one) for s in (-1, 1)]
    return pose


FIGURE_MOTIONS = {f.__name__: f for f in (walk, wave, jump, turn)}


def make_figure(
    motion: str, colour: str, rng: Random, num_frames: int, height: int, width: int, motions=FIGURE_MOTIONS,
    cycles: tuple[float, float] = (1.2, 2.2),
) -> Figure:  # fmt: skip
    """A figure that moves in one of the ways of `motions`, in world units equal to pixels of a (height, width) frame.

    Args:
        motions: name -> (rng, phase (T,), swing) -> Pose. cycles: fewest and most of a clip.
    Raises InputError for another motion. The whole figure stays inside the frame.
    """
    check_choice("motion", motion, motions)
    t = torch.linspace(0, 1, num_frames)
    phase = 2 * math.pi * (rng.uniform(*cycles) * t + rng.random())
    swing = rng.uniform(0.45, 0.75)
    size = rng.uniform(0.58, 0.72) * height
    pose = motions[motion](rng, phase, swing)
    bones = _pose(pose.hip, pose.turn, pose.arms, pose.legs) * size
    thickness = torch.tensor([HEAD, *THICKNESS[1:]]) * size
    reach = thickness[None, :, None, None]
    place = torch.tensor([rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.8)])
    frame = torch.tensor([height - 1.0, width - 1.0])
    low, room = _room(bones, reach, frame)
    bones = bones + torch.stack([torch.zeros_like(t), pose.walked * room[1] * t], -1)[:, None, None]
    low, room = _room(bones, reach, frame)
    return Figure(colour, bones - low + room * place, thickness, motion)


def _room(bones, reach, frame):
    """Lowest (row, col) that any bone reaches, and how far the whole motion may be shifted inside the frame."""
    low, high = (bones - reach).amin((0, 1, 2)), (bones + reach).amax((0, 1, 2))
    return low, (frame - (high - low)).clamp_min(0)
