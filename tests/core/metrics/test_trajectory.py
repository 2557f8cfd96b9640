import math

import numpy as np
import pytest
import torch

from vmt.errors import InputError
from vmt.metrics import trajectory as t

LINE = torch.stack([torch.linspace(20, 100, 33), torch.linspace(90, 30, 33)], -1)
ANGLE = torch.linspace(0, 5, 33)
LOOP = 64 + 25 * torch.stack([ANGLE.sin(), ANGLE.cos()], -1)
STILL = torch.full((33, 2), 64.0)


@pytest.mark.parametrize("path", [LINE, LOOP])
class TestKnownAnswers:
    def test_same_path(self, path):
        assert t.centred_correlation(path, path) == pytest.approx(1)
        assert t.wrong_way_rate(path, path) == t.no_move_rate(path, path) == t.endpoint_error(path, path) == 0
        assert t.speed_ratio(path, path) == 1 and t.path_distance(path, path) == 0

    def test_shifted_and_smaller_path(self, path):
        other = 10 + 0.5 * path
        assert t.centred_correlation(path, other) == pytest.approx(1)
        assert t.wrong_way_rate(path, other) == 0
        assert t.speed_ratio(path, other) == pytest.approx(0.5)
        speed = path.diff(dim=0).norm(dim=-1).mean().item()
        assert t.endpoint_error(path, other) == pytest.approx(speed / 2, rel=1e-4)

    def test_mirrored_path(self, path):
        other = 128 - path
        assert t.centred_correlation(path, other) == pytest.approx(-1)
        assert t.wrong_way_rate(path, other) == 1

    def test_still_path(self, path):
        for a, b in ((path, STILL), (STILL, path)):
            assert t.centred_correlation(a, b) is None and t.wrong_way_rate(a, b) is None
        assert t.no_move_rate(path, STILL) == 1 and t.speed_ratio(path, STILL) == 0
        assert t.no_move_rate(STILL, path) is None and t.speed_ratio(STILL, path) is None

    def test_jitter_is_standing(self, path):
        jitter = STILL + 0.15 * torch.randn(33, 2, generator=torch.Generator().manual_seed(0))
        assert t.centred_correlation(path, jitter) is None
        assert t.wrong_way_rate(path, jitter) is None or t.no_move_rate(path, jitter) > 0.8

    def test_shuffled_path_is_unlike(self, path):
        order = torch.randperm(33, generator=torch.Generator().manual_seed(1))
        assert abs(t.centred_correlation(path, path[order])) < 0.4

    def test_hidden_frames_do_not_count(self, path):
        visible = torch.ones(33, dtype=torch.bool)
        visible[10:14] = False
        spoiled = path.clone()
        spoiled[10:14] = 0
        assert t.centred_correlation(path, spoiled) < 0.95
        assert t.centred_correlation(path, spoiled, visible) == pytest.approx(1)
        assert t.wrong_way_rate(path, spoiled, visible) == 0 and t.endpoint_error(path, spoiled, visible) == 0
        assert t.path_distance(path, spoiled, visible) == 0
        assert t.endpoint_error(path, spoiled) > 1

    def test_arrays_and_tensors(self, path):
        assert t.centred_correlation(path.numpy(), np.asarray(path) + 1.0) == pytest.approx(1)
        assert isinstance(t.centred_correlation(path, path), float)


def test_perpendicular_lines_do_not_correlate():
    other = torch.stack([LINE[:, 1], -LINE[:, 0]], -1)
    # A line and the same one turned by a right angle: each step is perpendicular.
    assert t.centred_correlation(LINE, other) == pytest.approx(0, abs=1e-6)


def test_correlation_equals_numpys():
    a, b = np.random.default_rng(0).normal(size=(2, 33, 2)).cumsum(1) * 3
    expected = np.corrcoef((a - a.mean(0)).ravel(), (b - b.mean(0)).ravel())[0, 1]
    assert t.centred_correlation(a, b) == pytest.approx(expected)


def test_half_of_the_way_back():
    there_and_back = torch.cat([LINE[:17], LINE[:16].flip(0)])
    rate = t.wrong_way_rate(LINE, there_and_back)
    assert rate == 0.5


def test_slow_steps_do_not_count_as_moving():
    slow = STILL + torch.linspace(0, 10, 33)[:, None] * torch.tensor([0.0, 1.0])  # 0.31 px a frame
    assert t.wrong_way_rate(slow, -slow) is None
    assert t.wrong_way_rate(slow, -slow, short_side=64) == 1


def test_path_distance_is_blind_to_the_place():
    assert t.path_distance(LINE, LINE + torch.tensor([3.0, 4.0])) == pytest.approx(0, abs=1e-5)


def test_spread_is_the_rms_about_the_mean():
    turn = 2 * math.pi * torch.arange(32) / 32
    circle = torch.stack([9 + 3 * turn.sin(), 3 * turn.cos()], -1)
    assert t.spread_px(circle) == pytest.approx(3, rel=1e-6) and t.spread_px(STILL) == 0
    assert t.spread_px(torch.tensor([[0.0, 0.0], [6.0, 8.0]])) == 5


def test_nothing_visible_is_undefined():
    nothing = torch.zeros(33, dtype=torch.bool)
    assert t.centred_correlation(LINE, LINE, nothing) is None
    assert t.endpoint_error(LINE, LINE, nothing) is None and t.path_distance(LINE, LINE, nothing) is None
    assert t.speed_ratio(LINE, LINE, nothing) is None and t.no_move_rate(LINE, LINE, nothing) is None
    assert t.has_jump(LINE, nothing) is False


class TestJump:
    def test_smooth_paths_have_none(self):
        assert not t.has_jump(LINE) and not t.has_jump(LOOP) and not t.has_jump(STILL)

    def test_one_long_step(self):
        step = LINE.diff(dim=0).norm(dim=-1)[0]
        for times, jumps in ((2.9, False), (3.1, True)):
            path = LINE.clone()
            path[20:] += (times - 1) * LINE.diff(dim=0)[0]
            assert t.has_jump(path) is jumps, step

    def test_short_steps_count_as_half_a_pixel(self):
        path = STILL.clone()
        path[16:] += torch.tensor([0.0, 1.4])
        assert not t.has_jump(path)
        path[16:] += torch.tensor([0.0, 0.2])
        assert t.has_jump(path)

    def test_a_gap_is_shared_out(self):
        path, visible = LINE.clone(), torch.ones(33, dtype=torch.bool)
        visible[8:20] = False
        path[8:20] = 0
        assert t.has_jump(path) and not t.has_jump(path, visible)
        path[20:] += 110
        assert t.has_jump(path, visible)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (LINE, LINE[:30], "33 and 30 frames"),
        (LINE[:, 0], LINE, r"shape \(33,\)"),
        (LINE[None], LINE, r"shape \(1, 33, 2\)"),
        (LINE, torch.full((33, 2), math.nan), "NaN"),
    ],
)
def test_bad_input_is_refused(a, b, said):
    for figure in (t.centred_correlation, t.wrong_way_rate, t.endpoint_error, t.speed_ratio, t.path_distance):
        with pytest.raises(InputError, match=said):
            figure(a, b)


def test_flags_of_another_length_are_refused():
    with pytest.raises(InputError, match="one flag per frame"):
        t.centred_correlation(LINE, LINE, torch.ones(32, dtype=torch.bool))
