"""Drawing scenes by lot: which things, where, how they move, and what training never sees."""

from __future__ import annotations

from random import Random

import torch

from ..demo.vocabulary import COLOURS, GROUNDS, SHAPES, TEXTURES
from ..errors import check_choice
from .figure import FIGURE_MOTIONS, make_figure
from .motions import CAMERA_MOTIONS, OBJECT_MOTIONS, about_centre, identity, object_path
from .scene import Ground, Scene, SceneObject
from .shapes import bounding_radius

KINDS = ("single", "single_camera", "camera", "several", "figure")
KIND_SHARES = (0.55, 0.10, 0.10, 0.15, 0.10)
_MOVING = tuple(name for name in OBJECT_MOTIONS if name != "still")


def is_held_out(colour: str, shape: str, ground: str = "", motion: str = "") -> bool:
    """Whether the combination is kept from training: a seventh of colour x shape x ground, and of colour x shape x
    motion.

    Every colour, shape, ground and motion by itself, and every pair of a colour with a shape, does occur in training.
    """
    code = list(COLOURS).index(colour) + 3 * SHAPES.index(shape)
    if ground and (code + 2 * list(GROUNDS).index(ground)) % 7 == 0:
        return True
    return motion in _MOVING and (code + 1 + _MOVING.index(motion)) % 7 == 0


def scene_is_held_out(scene: Scene) -> bool:
    return any(is_held_out(o.colour, o.shape, scene.ground.colour, o.motion) for o in scene.objects)


def sample_scene(
    rng: Random,
    kind: str | None = None,
    num_frames: int = 33,
    height: int = 128,
    width: int = 128,
    held_out: bool = False,
) -> Scene:
    """One random scene.

    Args:
        rng: source of all lots; the same state gives the same scene.
        kind: one of `KINDS`, or None for the training mixture.
        num_frames: T. height, width: pixels.
        held_out: True gives only held-out combinations (kinds with objects), False only training ones.
    """
    kind = kind or rng.choices(KINDS, KIND_SHARES)[0]
    check_choice("kind", kind, KINDS)
    while True:
        scene = _BUILDERS[kind](rng, num_frames, height, width)
        if not scene.objects or scene_is_held_out(scene) == held_out:
            return scene


def sample_ground(rng: Random, textured: bool | None = None) -> Ground:
    texture = rng.choice(TEXTURES if textured is None else TEXTURES[1:] if textured else TEXTURES[:1])
    return Ground(
        rng.choice(list(GROUNDS)), texture, rng.randrange(1 << 20), rng.uniform(20, 32), rng.uniform(-0.6, 0.6)
    )


def _object(rng, num_frames, height, width, motion, size, camera=None) -> SceneObject:
    shape, colour = rng.choice(SHAPES), rng.choice(list(COLOURS))
    margin = bounding_radius(shape) * size + 1
    room = ((margin, height - 1 - margin), (margin, width - 1 - margin))
    path = object_path(motion, rng, room, num_frames)
    if camera is not None:  # the path was drawn on the screen: take it back to the world
        path = torch.linalg.solve(camera[..., :2], path - camera[..., 2])
        size = size / float(torch.linalg.det(camera[..., :2]).abs().sqrt().mean())
    return SceneObject(shape, colour, size, path, torch.full((num_frames,), rng.uniform(-0.12, 0.12)), motion)


def _motion(rng) -> str:
    return "still" if rng.random() < 0.03 else rng.choice(_MOVING)


def _size(rng, height, width) -> float:
    return rng.uniform(0.125, 0.17) * min(height, width)


def sample_camera(
    rng: Random, num_frames: int, height: int, width: int, motion: str | None = None
) -> tuple[str, torch.Tensor]:
    """A camera motion about the frame's centre: its name and the world-to-pixel affine (T,2,3)."""
    motion = motion or rng.choice([name for name in CAMERA_MOTIONS if name != "static"])
    moving = CAMERA_MOTIONS[motion](rng, num_frames, float(min(height, width)))
    return motion, about_centre(moving, height, width)


def _single(rng, num_frames, height, width) -> Scene:
    thing = _object(rng, num_frames, height, width, _motion(rng), _size(rng, height, width))
    return Scene(sample_ground(rng), identity(num_frames), [thing])


def _single_camera(rng, num_frames, height, width) -> Scene:
    """A moving camera, and one thing: half of the time fixed in the world, half moving on the screen."""
    while True:
        name, camera = sample_camera(rng, num_frames, height, width)
        motion = "still" if rng.random() < 0.5 else rng.choice(_MOVING)
        fixed = motion == "still"
        size = 0.9 * _size(rng, height, width)
        thing = _object(rng, num_frames, height, width, motion, size, None if fixed else camera)
        scene = Scene(sample_ground(rng, textured=True), camera, [thing], camera_motion=name)
        if not fixed or _stays_inside(scene, height, width):
            return scene


def _stays_inside(scene, height, width) -> bool:
    thing = scene.objects[0]
    on_screen = torch.einsum("tij,tj->ti", scene.camera[..., :2], thing.centre) + scene.camera[..., 2]
    zoom = torch.linalg.det(scene.camera[..., :2]).abs().sqrt()
    margin = bounding_radius(thing.shape) * thing.size * zoom[:, None]
    return bool(((on_screen >= margin) & (on_screen <= torch.tensor([height - 1, width - 1]) - margin)).all())


def _camera_only(rng, num_frames, height, width) -> Scene:
    name, camera = sample_camera(rng, num_frames, height, width)
    return Scene(sample_ground(rng, textured=True), camera, camera_motion=name)


def _several(rng, num_frames, height, width) -> Scene:
    count = 2 if rng.random() < 0.75 else 3
    scale = 0.85 if count == 2 else 0.75
    while True:
        things = [
            _object(
                rng,
                num_frames,
                height,
                width,
                "still" if rng.random() < 0.2 else rng.choice(_MOVING),
                scale * _size(rng, height, width),
            )
            for _ in range(count)
        ]
        kinds = {(thing.colour, thing.shape) for thing in things}
        starts = torch.stack([thing.centre[0] for thing in things])
        apart = torch.pdist(starts).min() > 2.2 * max(thing.size for thing in things)
        if len(kinds) == count and apart:
            return Scene(sample_ground(rng), identity(num_frames), things)


def _figure(rng, num_frames, height, width) -> Scene:
    figure = make_figure(rng.choice(list(FIGURE_MOTIONS)), rng.choice(list(COLOURS)), rng, num_frames, height, width)
    return Scene(sample_ground(rng), identity(num_frames), figure=figure)


_BUILDERS = {
    "single": _single,
    "single_camera": _single_camera,
    "camera": _camera_only,
    "several": _several,
    "figure": _figure,
}
