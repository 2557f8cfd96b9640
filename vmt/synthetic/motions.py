"""Paths of a single thing inside the frame, and of the camera. Each function is one motion.

A path is (T, 2) float32 pixel (row, col). `room` is the rectangle ((row_low, row_high), (col_low, col_high)) it must
stay in; a path that leaves it is drawn again by `object_path`. `rng` is a `random.Random`.
"""

from __future__ import annotations

import math
from random import Random

import torch

from ..errors import check_choice

Room = tuple[tuple[float, float], tuple[float, float]]


def _time(num_frames: int) -> torch.Tensor:
    return torch.linspace(0, 1, num_frames)


def _point(rng: Random, room: Room) -> torch.Tensor:
    return torch.tensor([rng.uniform(*room[0]), rng.uniform(*room[1])])


def _direction(rng: Random) -> torch.Tensor:
    angle = rng.uniform(-math.pi, math.pi)
    return torch.tensor([math.sin(angle), math.cos(angle)])


def _extent(room: Room) -> float:
    return min(room[0][1] - room[0][0], room[1][1] - room[1][0])


def _line(rng, room, progress):
    """From one point to another; `progress` (T,) says how far along."""
    length = rng.uniform(0.5, 1.1) * _extent(room)
    return _point(rng, room) + progress[:, None] * _direction(rng) * length


def line(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    return _line(rng, room, _time(num_frames))


def accelerate(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    return _line(rng, room, _time(num_frames) ** rng.uniform(1.6, 2.2))


def stop(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    return _line(rng, room, (_time(num_frames) / rng.uniform(0.6, 0.75)).clamp(max=1))


def swing(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    """To and fro along a line."""
    phase = 2 * math.pi * rng.uniform(0.8, 1.5) * _time(num_frames) + rng.uniform(-math.pi, math.pi)
    return _point(rng, room) + 0.5 * rng.uniform(0.5, 0.9) * _extent(room) * torch.sin(phase)[:, None] * _direction(rng)


def arc(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    return _circle(rng, room, num_frames, turns=rng.uniform(0.25, 0.6), radius=rng.uniform(0.3, 0.6) * _extent(room))


def orbit(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    return _circle(rng, room, num_frames, turns=rng.uniform(0.8, 1.5), radius=rng.uniform(0.25, 0.45) * _extent(room))


def _circle(rng, room, num_frames, turns, radius):
    angle = rng.choice((-1, 1)) * 2 * math.pi * turns * _time(num_frames) + rng.uniform(-math.pi, math.pi)
    return _point(rng, room) + radius * torch.stack([angle.sin(), angle.cos()], -1)


def bounce(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    """A ball thrown sideways: parabolas between bounces on the same floor, in 33 frames at most 11 px a frame."""
    hops = rng.uniform(1.0, 2.0)
    t = (_time(num_frames) * hops + rng.uniform(0, 1)) % 1
    height = rng.uniform(0.3, 0.5) * _extent(room)
    along = rng.choice((-1, 1)) * rng.uniform(0.4, 1.0) * _extent(room) * _time(num_frames)
    return _point(rng, room) + torch.stack([-height * 4 * t * (1 - t), along], -1)


def zigzag(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    phase = _time(num_frames) * rng.uniform(1.5, 2.5) + rng.uniform(0, 1)
    across = (2 * (phase % 1) - 1).abs() * rng.uniform(0.3, 0.6) * _extent(room)
    forward = _direction(rng)
    aside = torch.stack([forward[1], -forward[0]])
    along = _time(num_frames) * rng.uniform(0.5, 1.0) * _extent(room)
    return _point(rng, room) + along[:, None] * forward + across[:, None] * aside


def wander(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    """A smooth random path: two slow waves per axis."""
    t, path = _time(num_frames), []
    for _ in range(2):
        wave = sum(
            rng.uniform(0.4, 1.0) / k * torch.sin(2 * math.pi * (k * rng.uniform(0.4, 0.7) * t + rng.random()))
            for k in (1, 2)
        )
        path.append(0.5 * rng.uniform(0.5, 1.0) * _extent(room) * wave)
    return _point(rng, room) + torch.stack(path, -1)


def still(rng: Random, room: Room, num_frames: int) -> torch.Tensor:
    return _point(rng, room).expand(num_frames, 2).clone()


OBJECT_MOTIONS = {f.__name__: f for f in (line, arc, bounce, zigzag, orbit, accelerate, stop, swing, wander, still)}


def object_path(motion: str, rng: Random, room: Room, num_frames: int, motions=OBJECT_MOTIONS) -> torch.Tensor:
    """A path of one of `motions` (name -> function) that stays in the room: shifted into it where it can be, drawn
    again where it can't."""
    low = torch.tensor([room[0][0], room[1][0]])
    high = torch.tensor([room[0][1], room[1][1]])
    check_choice("motion", motion, motions)
    while True:
        path = motions[motion](rng, room, num_frames)
        first, last = path.amin(0), path.amax(0)
        if ((last - first) <= (high - low)).all():
            return path + (low - first).clamp_min(0) - (last - high).clamp_min(0)


def pan(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    offset = rng.uniform(0.2, 0.7) * extent * _ease(rng, num_frames)[:, None] * _direction(rng)
    return _camera(num_frames, offset=offset)


def zoom(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    final = math.log(rng.uniform(1.3, 1.9)) * rng.choice((-1, 1))
    return _camera(num_frames, log_zoom=final * (_ease(rng, num_frames) - 0.5))


def roll(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    return _camera(num_frames, angle=rng.choice((-1, 1)) * rng.uniform(0.35, 1.0) * _ease(rng, num_frames))


def shake(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    t = _time(num_frames)
    axes = [
        sum(
            rng.uniform(0.02, 0.05) * extent * torch.sin(2 * math.pi * (rng.uniform(1.0, 3.5) * t + rng.random()))
            for _ in range(2)
        )
        for _ in range(2)
    ]
    return _camera(num_frames, offset=torch.stack(axes, -1))


def static(rng: Random, num_frames: int, extent: float) -> torch.Tensor:
    return _camera(num_frames)


CAMERA_MOTIONS = {f.__name__: f for f in (static, pan, zoom, roll, shake)}


def _ease(rng, num_frames):
    t = _time(num_frames)
    return rng.choice((t, t, t * t * (3 - 2 * t)))


def _camera(num_frames, offset=None, log_zoom=None, angle=None):
    """Affine about the world's origin: (T,2,3). `about_centre` centres it on the frame."""
    zero = torch.zeros(num_frames)
    scale = (zero if log_zoom is None else log_zoom).exp()
    angle = zero if angle is None else angle
    offset = torch.zeros(num_frames, 2) if offset is None else offset
    cos, sin = scale * angle.cos(), scale * angle.sin()
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return torch.cat([linear, offset[..., None]], -1)


def identity(num_frames: int) -> torch.Tensor:
    """The camera (T,2,3) of a world that is one pixel per unit and stands."""
    return torch.eye(2, 3).expand(num_frames, 2, 3).clone()


def about_centre(camera: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A camera (T,2,3) about the world's origin as one about the middle of the frame."""
    to_centre, back = identity(len(camera)), identity(len(camera))
    centre = torch.tensor([(height - 1) / 2, (width - 1) / 2])
    to_centre[..., 2], back[..., 2] = -centre, centre
    return compose_cameras(compose_cameras(to_centre, camera), back)


def compose_cameras(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The affine that applies `first`, then `second`; both (T,2,3)."""
    linear = second[..., :2] @ first[..., :2]
    offset = (second[..., :2] @ first[..., 2:]) + second[..., 2:]
    return torch.cat([linear, offset], -1)
