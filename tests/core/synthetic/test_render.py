import math
from random import Random

import pytest
import torch

from vmt.demo.vocabulary import COLOURS, GROUNDS, SHAPES, TEXTURES
from vmt.errors import InputError
from vmt.synthetic import Ground, Scene, SceneObject, render, render_batch, sample_scene
from vmt.synthetic.sample import KINDS, sample_camera
from vmt.synthetic.scene import project


def centroids(mask):
    """Mean place (T,2) of coverage (T,H,W)."""
    rows, cols = torch.arange(mask.shape[1]).float(), torch.arange(mask.shape[2]).float()
    total = mask.sum((1, 2))
    return torch.stack([(mask.sum(2) * rows).sum(1), (mask.sum(1) * cols).sum(1)], -1) / total[:, None]


@pytest.mark.parametrize("shape", SHAPES)
def test_track_is_the_centroid_of_the_mask(scene_of, shape):
    rng = Random(shape)
    places = [(rng.uniform(40, 88), rng.uniform(40, 88)) for _ in range(8)]
    clip = render(scene_of(shape, places, angle=0.1))
    torch.testing.assert_close(clip.tracks_px[0], torch.tensor(places))
    assert (centroids(clip.masks[0]) - clip.tracks_px[0]).norm(dim=-1).max() < 0.1
    assert clip.visible.all()


def test_track_follows_a_zooming_rolling_camera(identity, scene_of):
    camera = identity(5)
    for t, (zoom, angle) in enumerate(((1, 0), (1.2, 0.2), (0.8, -0.4), (1.5, 0.6), (0.7, 1.0))):
        c, s = zoom * math.cos(angle), zoom * math.sin(angle)
        camera[t] = torch.tensor([[c, -s, 60 - 40 * c + 50 * s], [s, c, 64 - 40 * s - 50 * c]])
    clip = render(scene_of("circle", [(40, 50)] * 5, 12.0, camera=camera))
    torch.testing.assert_close(clip.tracks_px[0], torch.tensor([60.0, 64.0]).expand(5, 2))
    assert (centroids(clip.masks[0]) - clip.tracks_px[0]).norm(dim=-1).max() < 0.1
    moved = render(scene_of("circle", [(30, 50)] * 5, 12.0, camera=camera))
    torch.testing.assert_close(moved.tracks_px[0] - clip.tracks_px[0], -10 * camera[:, :, 0])
    areas = clip.masks[0].sum((1, 2))
    torch.testing.assert_close(areas / areas[0], torch.tensor([1, 1.44, 0.64, 2.25, 0.49]), rtol=0.01, atol=0)


@pytest.mark.parametrize("texture", TEXTURES)
def test_whole_pixels_of_camera_roll_the_picture(identity, texture):
    camera = identity(3)
    camera[1, :, 2], camera[2, :, 2] = torch.tensor([5.0, -9.0]), torch.tensor([-30.0, 12.0])
    thing = SceneObject("star", "red", 15.0, torch.tensor([[64.0, 60.0]] * 3), torch.zeros(3))
    frames = render(Scene(Ground("teal", texture, 77, 25.0, 0.3), camera, [thing])).frames
    for t, (down, right) in ((1, (5, -9)), (2, (-30, 12))):
        rolled = frames[0].roll((down, right), (0, 1))
        inside = (slice(32, 96), slice(32, 96))
        torch.testing.assert_close(frames[t][inside], rolled[inside], atol=2e-4, rtol=0)
        if texture != "plain":
            assert (frames[t] - frames[0]).abs().mean() > 0.01


@pytest.mark.parametrize("texture", ["tiled", "striped", "spotted"])
@pytest.mark.parametrize("motion", ["pan", "zoom", "roll", "shake"])
def test_ground_moves_as_the_camera_says(texture, motion):
    """What is seen at a world point's place does not change: the frames, looked up where the camera puts the points."""
    _, camera = sample_camera(Random(f"{texture} {motion}"), 9, 128, 128, motion)
    frames = render(Scene(Ground("grey", texture, 5, 26.0, 0.2), camera)).frames
    middle = torch.arange(24, 104, 4).float()
    world = torch.stack(torch.meshgrid(middle, middle, indexing="ij"), -1).reshape(-1, 1, 2).expand(-1, 9, 2)
    place = project(camera, world)
    grid = (place / 63.5 - 1).flip(-1).permute(1, 0, 2)[:, :, None]
    seen = torch.nn.functional.grid_sample(frames.movedim(-1, 1), grid, align_corners=True)[..., 0]
    inside = ((place > 1) & (place < 126)).all(-1).T
    both = inside & inside[0]
    assert both.float().mean() > 0.5
    change = (seen - seen[:1]).abs().amax(1)[both]
    # Points on an edge, which is a pixel wide in every frame, may differ.
    assert change.median() < 1e-3 and (change < 0.03).float().mean() > 0.85
    still = (frames[:, 24:104:4, 24:104:4].flatten(1, 2) - frames[:1, 24:104:4, 24:104:4].flatten(1, 2)).abs().amax(-1)
    assert still[1:].mean() > 3 * change.mean()


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_gives_the_same_frames_bit_for_bit(kind):
    first = render(sample_scene(Random(3), kind, num_frames=5))
    torch.manual_seed(123)
    torch.rand(7)
    second = render(sample_scene(Random(3), kind, num_frames=5))
    for name in ("frames", "tracks_px", "masks", "camera", "visible"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert first.caption == second.caption
    assert not torch.equal(first.frames, render(sample_scene(Random(4), kind, num_frames=5)).frames)


def test_batch_draws_what_single_clips_do():
    scenes = [sample_scene(Random(kind), kind, num_frames=5) for kind in KINDS]
    frames = render_batch(scenes)
    assert frames.shape == (len(KINDS), 5, 128, 128, 3) and frames.dtype == torch.float32
    assert frames.min() >= 0 and frames.max() <= 1
    for scene, drawn in zip(scenes, frames, strict=True):
        torch.testing.assert_close(drawn, render(scene).frames, atol=1e-5, rtol=0)


def test_colours_are_those_of_the_vocabulary():
    for colour, rgb in COLOURS.items():
        thing = SceneObject("circle", colour, 18.0, torch.tensor([[64.0, 64.0]]), torch.zeros(1))
        for ground, below in GROUNDS.items():
            frame = render(Scene(Ground(ground, "plain"), torch.eye(2, 3)[None], [thing])).frames[0]
            assert (frame[64, 64] * 255).round().tolist() == list(rgb)
            assert (frame[2, 2] * 255).round().tolist() == list(below)


def test_thing_in_front_hides_the_one_behind(identity):
    things = [
        SceneObject("square", "red", 20.0, torch.tensor([[60.0, 60.0]]), torch.zeros(1)),
        SceneObject("circle", "blue", 20.0, torch.tensor([[60.0, 75.0]]), torch.zeros(1)),
    ]
    clip = render(Scene(Ground("black", "plain"), identity(), things))
    alone = [render(Scene(Ground("black", "plain"), identity(), [thing])).masks[0] for thing in things]
    assert (clip.frames[0, 60, 70] * 255).round().tolist() == list(COLOURS["blue"])
    assert torch.equal(clip.masks[1], alone[1]) and clip.masks[0].sum() < alone[0].sum() - 100
    assert clip.masks.sum(0).max() <= 1 + 1e-6


def test_thing_outside_is_not_visible(scene_of):
    clip = render(scene_of("circle", [(64, 64), (64, 127.4), (64, 127.6), (-0.6, 3), (200, 200)]))
    assert clip.visible[0].tolist() == [True, True, False, False, False]
    assert clip.masks[0, 4].sum() == 0 and clip.masks[0, 2].sum() > 0


def test_camera_alone_has_no_things():
    clip = render(sample_scene(Random(1), "camera", num_frames=5))
    assert clip.tracks_px.shape == (0, 5, 2) and clip.masks.shape == (0, 5, 128, 128)


@pytest.mark.parametrize(("height", "width"), [(96, 160), (160, 96), (33, 65)])
def test_other_sizes(height, width):
    for kind in KINDS:
        clip = render(sample_scene(Random(2), kind, 5, height, width), height, width)
        assert clip.frames.shape == (5, height, width, 3)
        assert torch.isfinite(clip.frames).all()


def test_unknown_words_are_refused(identity):
    thing = SceneObject("circle", "pink", 18.0, torch.tensor([[64.0, 64.0]]), torch.zeros(1))
    with pytest.raises(InputError, match=r"pink.*red, orange"):
        render(Scene(Ground("black", "plain"), identity(), [thing]))
    with pytest.raises(InputError, match=r"marble.*plain, tiled"):
        render(Scene(Ground("black", "marble"), identity()))
    with pytest.raises(InputError, match="beige"):
        render(Scene(Ground("beige", "plain"), identity()))


def test_scenes_of_unequal_length_are_refused():
    scenes = [sample_scene(Random(1), "single", num_frames=n) for n in (5, 9)]
    with pytest.raises(InputError, match=r"\[5, 9\] frames"):
        render_batch(scenes)


@pytest.mark.parametrize("motion", ["static", "pan", "zoom", "roll", "shake"])
def test_a_clip_knows_whether_its_camera_moves(motion):
    _, camera = sample_camera(Random(1), 3, 32, 32, motion)
    assert render(Scene(Ground("grey", "tiled"), camera), 32, 32).camera_moves == (motion != "static")
