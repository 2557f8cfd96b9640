import re
from itertools import product
from random import Random

import pytest
import torch

from vmt.demo.vocabulary import COLOURS, GROUNDS, SHAPES, TEXTURES, tokenize
from vmt.errors import InputError
from vmt.synthetic import is_held_out, render, sample_scene
from vmt.synthetic.figure import FIGURE_MOTIONS
from vmt.synthetic.motions import CAMERA_MOTIONS, OBJECT_MOTIONS
from vmt.synthetic.sample import KIND_SHARES, KINDS, sample_camera, scene_is_held_out
from vmt.synthetic.scene import Scene, project
from vmt.synthetic.shapes import bounding_radius

MOVING = [name for name in OBJECT_MOTIONS if name != "still"]


@pytest.fixture(scope="module")
def training():
    """Scenes as training draws them."""
    rng = Random("training scenes")
    return [sample_scene(rng, num_frames=5) for _ in range(1500)]


def combination(scene, thing):
    return thing.colour, thing.shape, scene.ground.colour, thing.motion


def test_rule_holds_out_a_seventh_and_leaves_every_part_in():
    triples = list(product(COLOURS, SHAPES, GROUNDS))
    assert sum(is_held_out(*triple) for triple in triples) == len(triples) // 7
    motions = list(product(COLOURS, SHAPES, MOVING))
    assert sum(is_held_out(c, s, motion=m) for c, s, m in motions) == len(motions) // 7
    left = [(c, s, g, m) for c, s, g, m in product(COLOURS, SHAPES, GROUNDS, MOVING) if not is_held_out(c, s, g, m)]
    assert {(c, s) for c, s, _, _ in left} == set(product(COLOURS, SHAPES))
    assert {(c, g) for c, _, g, _ in left} == set(product(COLOURS, GROUNDS))
    assert {(s, g) for _, s, g, _ in left} == set(product(SHAPES, GROUNDS))
    assert {(c, m) for c, _, _, m in left} == set(product(COLOURS, MOVING))
    assert {(s, m) for _, s, _, m in left} == set(product(SHAPES, MOVING))


def test_training_never_draws_what_is_held_out(training):
    seen = {combination(scene, thing) for scene in training for thing in scene.objects}
    assert len(seen) > 500
    assert not [c for c in seen if is_held_out(*c)]
    assert not any(scene_is_held_out(scene) for scene in training)


def test_training_draws_everything_else(training):
    seen = [combination(scene, thing) for scene in training for thing in scene.objects]
    assert {c for c, _, _, _ in seen} == set(COLOURS) and {s for _, s, _, _ in seen} == set(SHAPES)
    assert {g for _, _, g, _ in seen} == set(GROUNDS) and {m for _, _, _, m in seen} == set(OBJECT_MOTIONS)
    assert {scene.ground.texture for scene in training} == set(TEXTURES)
    assert {scene.camera_motion for scene in training} == set(CAMERA_MOTIONS)
    assert {scene.figure.motion for scene in training if scene.figure} == set(FIGURE_MOTIONS)
    assert {len(scene.objects) for scene in training} == {0, 1, 2, 3}


def test_held_out_scenes_are():
    rng = Random(5)
    for kind in ("single", "single_camera", "several"):
        for _ in range(20):
            assert scene_is_held_out(sample_scene(rng, kind, num_frames=5, held_out=True))


def test_kinds_come_in_their_shares(training):
    def kind(scene):
        if scene.figure is not None:
            return "figure"
        if scene.camera_motion != "static":
            return "single_camera" if scene.objects else "camera"
        return "single" if len(scene.objects) == 1 else "several"

    kinds = [kind(scene) for scene in training]
    for name, share in zip(KINDS, KIND_SHARES, strict=True):
        assert kinds.count(name) / len(kinds) == pytest.approx(share, abs=0.05)


def test_caption_names_things_and_scene_but_never_the_motion(training):
    pattern = re.compile(r"(a \w+ \w+( and a \w+ \w+)* on )?a \w+ \w+ ground")
    forbidden = {*OBJECT_MOTIONS, *CAMERA_MOTIONS, *FIGURE_MOTIONS}
    for scene in training:
        caption = scene.caption
        assert pattern.fullmatch(caption)
        assert not forbidden & set(caption.split())
        numbers, unknown = tokenize(caption)
        assert not unknown and numbers[-1] == 0  # nothing was cut off
        assert caption.count(" and ") == max(0, len(scene.objects) - 1)
        for thing in scene.objects:
            assert f"a {thing.colour} {thing.shape}" in caption


def test_caption_does_not_depend_on_the_motion():
    a, b = (sample_scene(Random(seed), "single", num_frames=5) for seed in (1, 2))
    moved = Scene(
        a.ground, b.camera, [type(t)(t.shape, t.colour, t.size, b.objects[0].centre, t.angle, "x") for t in a.objects]
    )
    assert moved.caption == a.caption


def border(mask):
    return max(mask[..., 0, :].max(), mask[..., -1, :].max(), mask[..., :, 0].max(), mask[..., :, -1].max())


@pytest.mark.parametrize("held_out", [False, True])
def test_single_thing_stays_inside_the_frame(held_out):
    rng = Random(8)
    for _ in range(12):
        clip = render(sample_scene(rng, "single", num_frames=17, held_out=held_out))
        thing = clip.scene.objects[0]
        reach = bounding_radius(thing.shape) * thing.size
        assert (thing.centre - reach).min() >= 0 and (thing.centre + reach).max() <= 127
        assert border(clip.masks) < 0.3 and clip.visible.all()  # a star's tip is blended over more than a pixel
        areas = clip.masks[0].sum((1, 2))
        assert areas.min() > 400 and areas.max() < 1.01 * areas.min()


def test_thing_under_a_moving_camera_stays_in_sight():
    rng = Random(9)
    for _ in range(12):
        scene = sample_scene(rng, "single_camera", num_frames=17)
        track = project(scene.camera, scene.objects[0].centre)
        assert track.min() >= 0 and track.max() <= 127


def test_fixed_thing_moves_with_the_ground():
    rng = Random(10)
    fixed = [
        s
        for s in (sample_scene(rng, "single_camera", num_frames=9) for _ in range(30))
        if s.objects[0].motion == "still"
    ]
    assert fixed
    for scene in fixed:
        assert (
            scene.objects[0].centre.std(0).max() == 0
            and project(scene.camera, scene.objects[0].centre).std(0).max() > 0
        )


def test_several_things_differ_and_start_apart():
    rng = Random(11)
    for _ in range(30):
        scene = sample_scene(rng, "several", num_frames=5)
        assert len({(t.colour, t.shape) for t in scene.objects}) == len(scene.objects) in (2, 3)
        starts = torch.stack([t.centre[0] for t in scene.objects])
        assert torch.pdist(starts).min() > 2.2 * max(t.size for t in scene.objects)


@pytest.mark.parametrize("motion", ["pan", "zoom", "roll", "shake"])
def test_camera_turns_and_zooms_about_the_middle_of_the_frame(motion):
    name, camera = sample_camera(Random(1), 9, 96, 160, motion)
    middle = torch.tensor([47.5, 79.5])
    moved = project(camera, middle.expand(9, 2))
    assert name == motion
    if motion in ("zoom", "roll"):
        torch.testing.assert_close(moved, middle.expand(9, 2), atol=1e-3, rtol=0)
    else:
        assert (moved - middle).norm(dim=-1).max() > 1


def test_lots_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = sample_scene(Random("seed"), num_frames=9)
    torch.manual_seed(2)
    second = sample_scene(Random("seed"), num_frames=9)
    assert first.caption == second.caption and torch.equal(first.camera, second.camera)
    assert sample_scene(Random("other"), num_frames=9).ground.seed != first.ground.seed


def test_unknown_kind_is_refused():
    with pytest.raises(InputError, match="crowd"):
        sample_scene(Random(0), "crowd")
