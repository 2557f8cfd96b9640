"""Motions that no scene of training shows, for judging whether a method carries motions that the model never saw."""

from __future__ import annotations

import math
from random import Random

import torch

from .figure import Pose, standing, walk
from .motions import Room, compose_cameras, pan, roll, zoom


def _turned(path: torch.Tensor, angle: float) -> torch.Tensor:
    cos, sin = math.cos(angle), math.sin(angle)
    return path @ torch.tensor([[cos, sin], [-sin, cos]])


def _middle(room: Room) -> torch.Tensor:
    return torch.tensor([sum(side) / 2 for side in room])


def _reach(rng: Random, room: Room) -> float:
    return rng.uniform(0.32, 0.45) * min(high - low for low, high in room)


def eight(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    """A figure of eight, lying or standing."""
    angle = 2 * math.pi * (torch.linspace(0, 1, num_frames) + rng.random()) * rng.choice((-1, 1))
    path = torch.stack([0.6 * (2 * angle).sin(), angle.sin()], -1) * _reach(rng, room)
    return _middle(room) + _turned(path, rng.choice((0, math.pi / 2)))


def spiral(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    """Round the middle, ever closer to it or ever further away."""
    t = torch.linspace(0, 1, num_frames)
    radius = _reach(rng, room) * (1 - 0.8 * (t if rng.random() < 0.5 else 1 - t))
    angle = rng.choice((-1, 1)) * 2 * math.pi * 1.5 * t + rng.uniform(-math.pi, math.pi)
    return _middle(room) + radius[:, None] * torch.stack([angle.sin(), angle.cos()], -1)


def round_the_corners(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    """Once round a square, from one of its corners."""
    corners = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    along = torch.linspace(0, 4, num_frames)
    edge = along.long().clamp(max=3)
    path = torch.lerp(corners[edge], corners[edge + 1], (along - edge)[:, None]) * 0.8 * _reach(rng, room)
    path = path.flip(0) if rng.random() < 0.5 else path
    return _middle(room) + _turned(path, rng.randrange(4) * math.pi / 2)


def stop_and_go(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    """Along a line in three goes with rests between."""
    t = 3 * torch.linspace(0, 1, num_frames)
    along = (t.floor() + ((t % 1) / 0.6).clamp(max=1)).clamp(max=3) / 3
    way = torch.tensor([0.0, 2.0 * _reach(rng, room)])
    return _middle(room) + (along - 0.5)[:, None] * _turned(way, rng.uniform(-math.pi, math.pi))


UNSEEN_OBJECT_MOTIONS = {f.__name__: f for f in (eight, spiral, round_the_corners, stop_and_go)}


def _there_and_back(camera: torch.Tensor) -> torch.Tensor:
    """Twice as fast to the middle of the clip, then the same way back."""
    last = len(camera) - 1
    return camera[[min(2 * t, 2 * last - 2 * t) for t in range(len(camera))]]


def pan_and_back(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    return _there_and_back(pan(rng, num_frames, 0.6 * extent))


def zoom_and_back(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    return _there_and_back(zoom(rng, num_frames, extent))


def pan_and_zoom(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    return compose_cameras(zoom(rng, num_frames, extent), pan(rng, num_frames, 0.7 * extent))


def roll_and_zoom(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    return compose_cameras(zoom(rng, num_frames, extent), roll(rng, num_frames, extent))


UNSEEN_CAMERA_MOTIONS = {f.__name__: f for f in (pan_and_back, zoom_and_back, pan_and_zoom, roll_and_zoom)}


def walk_and_wave(rng: Random, phase: torch.Tensor, swing: float) -> Pose:
    pose, side = walk(rng, phase, swing), rng.choice((0, 1))
    sign = 1 if side else -1
    pose.arms[side] = (2.2 * sign * torch.ones_like(phase), sign * (2.5 + 0.8 * (2 * phase).sin()))
    return pose


def jumping_jack(rng: Random, phase: torch.Tensor, swing: float) -> Pose:
    pose, spread = standing(phase), 0.5 - 0.5 * (2 * phase).cos()
    pose.arms = [(s * (0.3 + 2.3 * spread), s * (0.3 + 2.5 * spread)) for s in (-1, 1)]
    pose.legs = [(s * (0.1 + 0.6 * spread), s * (0.1 + 0.6 * spread)) for s in (-1, 1)]
    return pose


def kick(rng: Random, phase: torch.Tensor, swing: float) -> Pose:
    pose, side = standing(phase), rng.choice((0, 1))
    lift = (1 if side else -1) * (0.1 + 1.4 * (0.5 - 0.5 * phase.cos()))
    pose.legs[side] = (lift, lift)
    return pose


def squat(rng: Random, phase: torch.Tensor, swing: float) -> Pose:
    pose, depth = standing(phase), 0.5 - 0.5 * phase.cos()
    pose.hip = torch.stack([0.16 * depth, torch.zeros_like(phase)], -1)
    pose.legs = [(s * (0.12 + 1.0 * depth), s * (0.06 - 0.9 * depth)) for s in (-1, 1)]
    pose.arms = [(s * (0.18 + 1.2 * depth), s * (0.18 + 1.2 * depth)) for s in (-1, 1)]
    return pose


UNSEEN_FIGURE_MOTIONS = {f.__name__: f for f in (walk_and_wave, jumping_jack, kick, squat)}
