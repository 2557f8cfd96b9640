"""Motions kept from training: within bounds, unlike each other, and what their names say."""

from random import Random

import pytest
import torch

from vmt.synthetic.figure import FIGURE_MOTIONS, make_figure
from vmt.synthetic.motions import CAMERA_MOTIONS, OBJECT_MOTIONS, object_path
from vmt.synthetic.unseen import UNSEEN_CAMERA_MOTIONS, UNSEEN_FIGURE_MOTIONS, UNSEEN_OBJECT_MOTIONS

ROOM = ((20.0, 107.0), (24.0, 100.0))
SEEDS = range(25)


def path(motion, seed, num_frames=33):
    return object_path(motion, Random(seed), ROOM, num_frames, UNSEEN_OBJECT_MOTIONS)


def test_training_knows_none_of_them():
    assert not set(UNSEEN_OBJECT_MOTIONS) & set(OBJECT_MOTIONS)
    assert not set(UNSEEN_CAMERA_MOTIONS) & set(CAMERA_MOTIONS)
    assert not set(UNSEEN_FIGURE_MOTIONS) & set(FIGURE_MOTIONS)


@pytest.mark.parametrize("motion", UNSEEN_OBJECT_MOTIONS)
def test_path_stays_in_its_room_moves_and_does_not_jump(motion):
    for seed in SEEDS:
        way = path(motion, seed)
        assert way.shape == (33, 2) and way.dtype == torch.float32
        for axis, (low, high) in enumerate(ROOM):
            assert way[:, axis].min() >= low - 1e-3 and way[:, axis].max() <= high + 1e-3
        assert (way.amax(0) - way.amin(0)).norm() > 15 and way.diff(dim=0).norm(dim=-1).max() < 12
        assert torch.isfinite(path(motion, seed, 1)).all()


@pytest.mark.parametrize("seed", SEEDS)
class TestEachMotionIsWhatItsNameSays:
    def test_eight_crosses_its_middle_and_comes_back(self, seed):
        way = path("eight", seed)
        torch.testing.assert_close(way[0], way[-1], atol=1e-2, rtol=0)
        middle = torch.tensor([63.5, 62.0])
        near = (way - middle).norm(dim=-1) < 6
        assert near.int().diff().abs().sum() >= 3  # into the middle or out of it, twice each but for where it begins

    def test_spiral_closes_in_or_opens(self, seed):
        radius = (path("spiral", seed) - torch.tensor([63.5, 62.0])).norm(dim=-1)
        change = radius.diff()
        assert (change < 0).all() or (change > 0).all()

    def test_corners_are_right_angles(self, seed):
        step = path("round_the_corners", seed).diff(dim=0)
        assert (step.abs().amin(-1) < 1e-3).all()  # always along one axis
        assert (step.abs().argmax(-1).diff() != 0).sum() == 3

    def test_stop_and_go_rests_twice_between(self, seed):
        moving = path("stop_and_go", seed).diff(dim=0).norm(dim=-1) > 0.05
        assert (moving.int().diff() == 1).sum() == 2 and moving[0]


@pytest.mark.parametrize("motion", UNSEEN_CAMERA_MOTIONS)
def test_camera_moves_smoothly(motion):
    for seed in SEEDS:
        camera = UNSEEN_CAMERA_MOTIONS[motion](Random(seed), 33, 128.0)
        assert camera.shape == (33, 2, 3)
        corners = torch.tensor([[64.0, 64.0], [-64.0, 64.0], [64.0, -64.0]])  # of the frame, about its centre
        places = torch.einsum("tij,nj->tni", camera[..., :2], corners) + camera[:, None, :, 2]
        step = places.diff(dim=0).norm(dim=-1).amax()
        assert 0.5 < step < 12
        if motion.endswith("back"):
            torch.testing.assert_close(camera[0], camera[-1])
            torch.testing.assert_close(camera[4], camera[28])


@pytest.mark.parametrize("motion", UNSEEN_FIGURE_MOTIONS)
def test_figure_moves_inside_the_frame_and_holds_together(motion):
    for seed in SEEDS:
        figure = make_figure(motion, "red", Random(seed), 33, 128, 128, UNSEEN_FIGURE_MOTIONS)
        length = (figure.bones[:, :, 1] - figure.bones[:, :, 0]).norm(dim=-1)
        torch.testing.assert_close(length, length[:1].expand_as(length), atol=1e-2, rtol=0)
        for upper in (2, 4, 6, 8):
            torch.testing.assert_close(figure.bones[:, upper, 1], figure.bones[:, upper + 1, 0])
        reach = figure.thickness[None, :, None, None]
        assert (figure.bones - reach).min() >= -1e-3 and (figure.bones + reach).max() <= 127 + 1e-3
        assert figure.bones.diff(dim=0).norm(dim=-1).max() > 1.5
