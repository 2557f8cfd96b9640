import math
from random import Random

import numpy as np
import pytest
import torch

from vmt.demo.vocabulary import GROUNDS, SHAPES, TEXTURES
from vmt.metrics.appearance import judge_colour, judge_ground, judge_shape
from vmt.metrics.centroid import object_mask
from vmt.synthetic import Ground, Scene, SceneObject, render, sample_scene
from vmt.synthetic.sample import sample_camera


def rights(measured):
    """Share of clips that each judge gets right."""
    right = dict.fromkeys(("colour", "shape", "ground", "texture"), 0)
    for clip, frames, mask in measured:
        ground, texture = judge_ground(frames, mask)
        thing = clip.scene.objects[0]
        right["colour"] += judge_colour(frames, mask) == thing.colour
        right["shape"] += judge_shape(frames, mask) == thing.shape
        right["ground"] += ground == clip.scene.ground.colour
        right["texture"] += texture == clip.scene.ground.texture
    return {name: count / len(measured) for name, count in right.items()}


@pytest.mark.parametrize("kind", ["clean", "spoiled"])
def test_judges_are_right(measured, kind):
    """Measured on 200 held-out clips of 33 frames: all of them right, clean and spoiled."""
    right = rights(measured[kind])
    assert right["colour"] == right["shape"] == right["ground"] == 1 and right["texture"] > 0.95


def test_judges_under_a_moving_camera():
    clips = [render(sample_scene(Random(f"moving {i}"), "single_camera", num_frames=9)) for i in range(12)]
    right = rights([(clip, clip.frames.numpy(), object_mask(clip.frames)) for clip in clips])
    assert right["colour"] == right["ground"] == right["texture"] == 1 and right["shape"] > 0.9


@pytest.mark.parametrize("texture", TEXTURES)
def test_texture_is_told_through_noise_under_a_moving_camera(spoil, texture):
    """Black grounds have the weakest textures, and a moving one lets no mean take the noise away."""
    _, camera = sample_camera(Random(3), 9, 128, 128, "pan")
    for seed in (6, 7):
        clip = render(Scene(Ground("black", texture, seed, 26.0, 0.3), camera))
        frames = spoil(clip.frames, seed, noise=0.022)
        assert judge_ground(frames, object_mask(frames)) == ("black", texture)


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_told_at_any_angle_and_size(shape):
    for angle in np.linspace(0, 2 * math.pi, 9):
        for size in (11.0, 17.0, 26.0):
            thing = SceneObject(shape, "white", size, torch.tensor([[60.3, 66.8]]), torch.tensor([float(angle)]))
            clip = render(Scene(Ground("black", "plain"), torch.eye(2, 3)[None], [thing]))
            assert judge_shape(clip.frames, object_mask(clip.frames)) == shape


def test_most_frames_decide_the_shape():
    frames = []
    for shape in ("star", "star", "circle", "star", "cross"):
        thing = SceneObject(shape, "white", 18.0, torch.tensor([[60.0, 66.0]]), torch.zeros(1))
        frames.append(render(Scene(Ground("black", "plain"), torch.eye(2, 3)[None], [thing])).frames)
    frames = torch.cat(frames)
    assert judge_shape(frames, object_mask(frames)) == "star"
    assert judge_shape(frames[2:3], object_mask(frames)[2:3]) == "circle"


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("ground", GROUNDS)
def test_grounds_without_a_thing(ground, texture):
    for motion in ("static", "pan"):  # 13 pixels a frame: hardly two frames alike
        _, camera = sample_camera(Random(3), 5, 128, 128, motion)
        clip = render(Scene(Ground(ground, texture, 6, 24.0, 0.3), camera))
        assert judge_ground(clip.frames, object_mask(clip.frames)) == (ground, texture)


def test_nothing_to_judge_is_none():
    frames, nothing = torch.full((3, 32, 32, 3), 0.08), np.zeros((3, 32, 32), bool)
    assert judge_colour(frames, nothing) is None and judge_shape(frames, nothing) is None
    assert judge_ground(frames, nothing) == ("black", "plain")
    assert judge_ground(frames, ~nothing) == (None, None)


def test_thing_too_thin_to_erode_has_a_colour():
    frames, mask = torch.full((1, 32, 32, 3), 0.08), np.zeros((1, 32, 32), bool)
    frames[0, 5, 5:20] = torch.tensor([214, 40, 40]) / 255
    mask[0, 5, 5:20] = True
    assert judge_colour(frames, mask) == "red" and judge_shape(frames, mask) is None
