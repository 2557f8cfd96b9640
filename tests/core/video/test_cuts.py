from random import Random

import pytest
import torch

from vmt.bench.cases import bench_cases
from vmt.video import FramesSource, ReferenceConfig, load_reference
from vmt.video.cuts import find_cuts


def shots(*numbers):
    return [bench_cases("camera", max(numbers) + 1, 11)[number].clip().frames for number in numbers]


def test_the_frames_that_begin_a_shot_are_found_in_a_film_of_moving_cameras():
    first, second, third = shots(0, 1, 3)
    assert find_cuts(torch.cat([first[:12], second[:7], third])) == [12, 19]


@pytest.mark.parametrize("category", ["camera", "single_object", "multiple_objects", "complex_motion"])
def test_what_moves_is_no_cut(category):
    for case in bench_cases(category, 12, 5):
        assert find_cuts(case.clip().frames) == []


def test_a_camera_so_fast_that_each_picture_is_another_is_no_cut():
    rng = Random(0)
    colours = torch.tensor([[rng.random() for _ in range(3)] for _ in range(200)])
    wall = colours.repeat_interleave(8, 0).expand(48, -1, -1)
    assert find_cuts(torch.stack([wall[:, 60 * i : 60 * i + 64] for i in range(17)])) == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_too_few_frames_have_none(number):
    assert find_cuts(torch.rand(number, 8, 8, 3)) == []


def test_the_report_names_them_in_seconds_of_the_video():
    first, second = shots(0, 1)
    film = torch.cat([first[:20], second])
    config = ReferenceConfig(frames=0, fps=0.0, start=0.5, width=64, height=64)
    report = load_reference(FramesSource(film, 16.0, "film"), config).report
    assert "a cut at 1.25 s, across which nothing can be followed" in report
    assert "cut at" not in load_reference(FramesSource(first, 16.0, "film"), config).report
