import math
from random import Random

import pytest
import torch

from vmt.errors import InputError
from vmt.synthetic.motions import CAMERA_MOTIONS, OBJECT_MOTIONS, compose_cameras, object_path

ROOM = ((20.0, 107.0), (24.0, 100.0))
SEEDS = range(25)


@pytest.mark.parametrize("motion", OBJECT_MOTIONS)
def test_path_stays_in_its_room_and_moves(motion):
    for seed in SEEDS:
        path = object_path(motion, Random(seed), ROOM, 33)
        assert path.shape == (33, 2) and path.dtype == torch.float32
        for axis, (low, high) in enumerate(ROOM):
            assert path[:, axis].min() >= low - 1e-3 and path[:, axis].max() <= high + 1e-3
        extent = (path.amax(0) - path.amin(0)).norm()
        assert extent == 0 if motion == "still" else extent > 15
        torch.testing.assert_close(path, object_path(motion, Random(seed), ROOM, 33), atol=0, rtol=0)


@pytest.mark.parametrize("motion", OBJECT_MOTIONS)
def test_drawn_paths_do_not_jump(motion):
    for seed in SEEDS:
        step = object_path(motion, Random(seed), ROOM, 33).diff(dim=0).norm(dim=-1)
        assert step.max() < 20


@pytest.mark.parametrize("motion", OBJECT_MOTIONS)
def test_one_frame_is_a_path_too(motion):
    assert torch.isfinite(object_path(motion, Random(0), ROOM, 1)).all()


def steps(motion, seed):
    return object_path(motion, Random(seed), ROOM, 33).diff(dim=0)


@pytest.mark.parametrize("seed", SEEDS)
class TestEachMotionIsWhatItsNameSays:
    def test_line(self, seed):
        step = steps("line", seed)
        torch.testing.assert_close(step, step[:1].expand_as(step), atol=1e-3, rtol=0)

    def test_accelerate(self, seed):
        speed = steps("accelerate", seed).norm(dim=-1)
        assert (speed.diff() > -1e-3).all() and speed[-1] > 4 * speed[0]

    def test_stop(self, seed):
        speed = steps("stop", seed).norm(dim=-1)
        assert speed[-8:].max() == 0 and speed[:16].min() > 1

    @pytest.mark.parametrize(("motion", "turn"), [("arc", (0.25, 0.6)), ("orbit", (0.8, 1.5))])
    def test_circle(self, seed, motion, turn):
        step = steps(motion, seed)
        heading = torch.atan2(step[:, 0], step[:, 1])
        bend = torch.remainder(heading.diff() + math.pi, 2 * math.pi) - math.pi
        torch.testing.assert_close(bend, bend[:1].expand_as(bend), atol=1e-3, rtol=0)
        assert turn[0] <= bend.abs()[0].item() * 32 / (2 * math.pi) <= turn[1]

    def test_bounce(self, seed):
        step = steps("bounce", seed)
        torch.testing.assert_close(step[:, 1], step[:1, 1].expand(32), atol=1e-3, rtol=0)
        fall = step[:, 0].diff()
        assert (fall > 0).sum() >= 25 and fall.min() < -2  # falls all the time, but for the bounces

    def test_zigzag(self, seed):
        step = steps("zigzag", seed)
        cos = torch.cosine_similarity(step[1:], step[:-1], dim=-1)
        assert 1 <= ((cos < 0.9).int().diff() == 1).sum() <= 6 and (cos > 0.999).sum() >= 20

    def test_swing(self, seed):
        step = steps("swing", seed)
        step = step[step.norm(dim=-1) > 0.01]
        cos = torch.cosine_similarity(step, step[:1], dim=-1)
        assert (cos.abs() > 0.99).all() and cos.min() < 0


def magnitude(motion, seed, extent=128.0):
    """log zoom, roll angle and offset of a camera motion, each (T,)."""
    camera = CAMERA_MOTIONS[motion](Random(seed), 33, extent)
    linear = camera[..., :2]
    # A similarity: its columns are perpendicular and equally long.
    gram = linear.transpose(1, 2) @ linear
    torch.testing.assert_close(gram, gram[:, :1, :1] * torch.eye(2), atol=1e-5, rtol=0)
    return gram[:, 0, 0].log() / 2, torch.atan2(linear[:, 1, 0], linear[:, 0, 0]), camera[..., 2]


@pytest.mark.parametrize("seed", SEEDS)
class TestCamera:
    def test_static(self, seed):
        zoom, angle, offset = magnitude("static", seed)
        assert zoom.abs().max() == angle.abs().max() == offset.abs().max() == 0

    def test_pan(self, seed):
        zoom, angle, offset = magnitude("pan", seed)
        assert zoom.abs().max() < 1e-6 and angle.abs().max() == 0
        assert (
            0.2 * 128 <= (offset[-1] - offset[0]).norm() + 1e-3 and (offset[-1] - offset[0]).norm() <= 0.7 * 128 + 1e-3
        )

    def test_zoom(self, seed):
        zoom, angle, offset = magnitude("zoom", seed)
        assert 1.3 - 1e-3 <= (zoom[-1] - zoom[0]).abs().exp() <= 1.9 + 1e-3
        assert (zoom.diff().sign() == zoom.diff().sign()[0]).all()
        assert angle.abs().max() == 0 and offset.abs().max() == 0

    def test_roll(self, seed):
        zoom, angle, offset = magnitude("roll", seed)
        assert 0.35 - 1e-3 <= (angle[-1] - angle[0]).abs() <= 1 + 1e-3
        assert zoom.abs().max() < 1e-5 and offset.abs().max() == 0

    def test_shake(self, seed):
        _, angle, offset = magnitude("shake", seed)
        assert angle.abs().max() == 0 and 1 < offset.abs().max() <= 0.1 * 128


def test_cameras_compose_in_order():
    double, shift = torch.eye(2, 3)[None] * 2, torch.eye(2, 3)[None].clone()
    shift[0, :, 2] = torch.tensor([3.0, 5.0])
    assert compose_cameras(double, shift)[0].tolist() == [[2, 0, 3], [0, 2, 5]]
    assert compose_cameras(shift, double)[0].tolist() == [[2, 0, 6], [0, 2, 10]]


def test_unknown_motion_is_refused():
    with pytest.raises(InputError, match="moonwalk"):
        object_path("moonwalk", Random(0), ROOM, 5)
