"""Where the points of the grid truly go in a drawn scene: what tracks of its frames are held against.

Legend: N points of the grid, T frames, S bones.
"""

from __future__ import annotations

import torch

from ..synthetic.render import Clip
from .tracks import Tracks, grid_points

COVERED = 0.5  # share of a pixel from which on it counts as the thing's


def true_tracks(clip: Clip) -> Tracks:
    """Tracks in runs of one step, as `follow_grid(clip.frames)` measures them.

    A point moves with the thing seen at it: with a shape as it shifts and turns, with the nearest bone of a figure,
    else with the ground. It is invisible afterwards where something else has come before it or it has left the frame.
    Flat areas, where no tracker can follow, are as well known as any.
    """
    size = tuple(clip.frames.shape[1:3])
    start = torch.from_numpy(grid_points(size)).double()
    steps = clip.frames.shape[0] - 1
    points = start[None, :, None].repeat(steps, 1, 2, 1)
    visible = torch.ones(points.shape[:3], dtype=torch.bool)
    for t in range(steps):
        owner = _owner(clip.masks[:, t], start)
        places = torch.stack([_moved(clip, who, t, start) for who in range(-1, len(clip.masks))])
        there = places[owner + 1, torch.arange(len(start))]
        inside = ((there >= 0) & (there <= torch.tensor(size) - 1)).all(-1)
        points[t, :, 1] = there
        visible[t, :, 1] = inside & (_owner(clip.masks[:, t + 1], there) == owner)
    return Tracks(points.float().numpy(), visible.numpy(), size)


def _owner(masks: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Which thing covers each place (N,2) of a frame: its number, -1 for the ground."""
    if not len(masks):
        return torch.full((len(places),), -1)
    limits = torch.tensor(masks.shape[1:]) - 1
    row, column = places.round().long().clamp_min(0).minimum(limits).unbind(-1)
    cover, who = masks[:, row, column].max(0)
    return torch.where(cover > COVERED, who, -1)


def _moved(clip: Clip, who: int, t: int, start: torch.Tensor) -> torch.Tensor:
    """Places (N,2) in frame t + 1 of points of frame t that belong to thing `who`."""
    before, after = clip.camera[t].double(), clip.camera[t + 1].double()
    world = torch.linalg.solve(before[:, :2], (start - before[:, 2]).T).T
    if 0 <= who < len(clip.scene.objects):
        thing = clip.scene.objects[who]
        turn = _rotation(thing.angle[t + 1] - thing.angle[t])
        world = (world - thing.centre[t]) @ turn.T + thing.centre[t + 1]
    elif who >= 0:
        world = _with_bones(clip.scene.figure.bones[t].double(), clip.scene.figure.bones[t + 1].double(), world)
    return world @ after[:, :2].T + after[:, 2]


def _rotation(angle: torch.Tensor) -> torch.Tensor:
    """Turns (row, col) by an angle that counts from the column axis towards the row axis."""
    cos, sin = angle.double().cos(), angle.double().sin()
    return torch.stack([torch.stack([cos, sin]), torch.stack([-sin, cos])])


def _with_bones(before: torch.Tensor, after: torch.Tensor, world: torch.Tensor) -> torch.Tensor:
    """Points (N,2) carried along by the nearest of the bones (S,2,2): as far along it and as far off it as before."""
    start, along = before[:, 0], before[:, 1] - before[:, 0]
    offset = world[:, None] - start  # (N,S,2)
    share = ((offset * along).sum(-1) / (along * along).sum(-1).clamp_min(1e-9)).clamp(0, 1)
    aside = offset - share[..., None] * along
    nearest = aside.norm(dim=-1).argmin(1)
    pick = torch.arange(len(world)), nearest
    direction = after[:, 1] - after[:, 0]
    turn = torch.atan2(direction[:, 0], direction[:, 1]) - torch.atan2(along[:, 0], along[:, 1])
    cos, sin = turn.cos()[nearest, None], turn.sin()[nearest, None]
    off = aside[pick]
    off = off * cos + off.flip(-1) * torch.cat([sin, -sin], -1)
    return after[nearest, 0] + share[pick][:, None] * direction[nearest] + off
