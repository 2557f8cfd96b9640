"""What is in a clip: things, ground and camera, each over time. Drawing is in `render`, drawing lots is in `sample`."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class SceneObject:
    """One flat coloured shape.

    Positions are world coordinates (row, col); the world is one pixel per unit where the camera is the identity.
    """

    shape: str
    colour: str
    size: float  # world units; the edge lies about this far from the centre
    centre: torch.Tensor  # (T, 2) world (row, col)
    angle: torch.Tensor  # (T,) radians
    motion: str = ""


@dataclass
class Figure:
    """An articulated figure: bones with a thickness, drawn in one colour."""

    colour: str
    bones: torch.Tensor  # (T, num_bones, 2 ends, 2) world (row, col)
    thickness: torch.Tensor  # (num_bones,) world units, half the width of a bone
    motion: str = ""


@dataclass
class Ground:
    colour: str
    texture: str
    seed: int = 0
    cell: float = 26.0  # world units, size of one tile, stripe or spot cell
    angle: float = 0.0  # radians


@dataclass
class Scene:
    """A clip's content. `camera` maps world (row, col) to pixels: pixel = camera[t, :, :2] @ world + camera[t, :,
    2]."""

    ground: Ground
    camera: torch.Tensor  # (T, 2, 3)
    objects: list[SceneObject] = field(default_factory=list)
    figure: Figure | None = None
    camera_motion: str = "static"

    @property
    def num_frames(self) -> int:
        return self.camera.shape[0]

    @property
    def caption(self) -> str:
        """Things and scene; never the motion."""
        things = [f"a {thing.colour} {thing.shape}" for thing in self.objects]
        if self.figure is not None:
            things.append(f"a {self.figure.colour} figure")
        where = f"a {self.ground.texture} {self.ground.colour} ground"
        return f"{' and '.join(things)} on {where}" if things else where


def project(camera: torch.Tensor, world: torch.Tensor) -> torch.Tensor:
    """World points (..., T, 2) to pixels (..., T, 2), both (row, col), by the per-frame affine (T, 2, 3)."""
    return torch.einsum("tij,...tj->...ti", camera[..., :2], world) + camera[..., 2]
