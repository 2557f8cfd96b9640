from random import Random

import numpy as np
import pytest
import torch

from vmt.demo.vocabulary import COLOURS, GROUNDS, TEXTURES
from vmt.errors import InputError
from vmt.metrics.palette import as_frames, ground_colour, ground_distance, shade, thing_distances
from vmt.synthetic import Ground, Scene, render
from vmt.synthetic.sample import sample_camera


@pytest.fixture(scope="module", params=list(GROUNDS))
def grounds(request):
    """One ground colour in all textures, drawn: the name and frames (T,H,W,3)."""
    _, camera = sample_camera(Random(1), 3, 128, 128, "zoom")
    drawn = [render(Scene(Ground(request.param, texture, 9), camera)).frames for texture in TEXTURES]
    return request.param, np.concatenate([frames.numpy() for frames in drawn])


def test_drawn_grounds_lie_on_their_shades(grounds):
    name, frames = grounds
    assert ground_distance(frames, name).max() < 1e-3
    along = shade(frames, name)
    assert -0.22 < along.min() < -0.1 and 0.3 < along.max() < 0.39


def test_drawn_grounds_are_told_apart(grounds):
    name, frames = grounds
    for texture in np.split(frames, len(TEXTURES)):
        assert ground_colour(texture) == name
    others = np.stack([ground_distance(frames, other) for other in GROUNDS if other != name])
    assert (ground_distance(frames, name) < others.min(0)).mean() > 0.999
    assert (ground_distance(frames, name) < thing_distances(frames).min(-1)).all()


def test_things_are_far_from_each_other_and_from_every_ground():
    for index, rgb in enumerate(COLOURS.values()):
        pixel = np.array(rgb, np.float32)[None] / 255
        distances = thing_distances(pixel)[0]
        assert distances[index] < 2e-3 and np.delete(distances, index).min() > 0.3
        assert min(ground_distance(pixel, ground)[0] for ground in GROUNDS) > 0.28


def test_only_pixels_of_a_ground_vote():
    frames = np.zeros((1, 12, 12, 3), np.float32) + np.array(COLOURS["red"], np.float32) / 255
    assert ground_colour(frames) is None
    frames[:, :6] = np.array(GROUNDS["teal"], np.float32) / 255
    assert ground_colour(frames) == "teal"
    where = np.zeros((1, 12, 12), bool)
    where[:, 6:] = True
    assert ground_colour(frames, where) is None


@pytest.mark.parametrize("shape", [(128, 128, 3), (2, 3, 8, 8), (0, 8, 8, 3), (2, 8, 8, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match=r"\(T,H,W,3\) is needed"):
        as_frames(np.zeros(shape))


def test_nan_is_refused():
    frames = np.zeros((1, 4, 4, 3))
    frames[0, 1, 2, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        as_frames(frames)


def test_frames_that_fit_are_not_copied():
    frames = np.random.default_rng(0).random((3, 8, 10, 3), np.float32)
    for given in (frames, torch.from_numpy(frames), frames.transpose(0, 2, 1, 3)):
        assert np.shares_memory(as_frames(given), frames) and (as_frames(given) == np.asarray(given)).all()
    for given in (frames + 0.5, frames - 0.5, frames.astype(np.float64), frames[:, :, :9]):
        taken = as_frames(given)
        assert not np.shares_memory(taken, frames) and (taken == given.astype(np.float32).clip(0, 1)).all()
