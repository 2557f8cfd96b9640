from random import Random

import pytest
import torch

from vmt.demo.report import colour_is_right, named_colour, path_correlation
from vmt.synthetic import render, sample_scene


@pytest.fixture(scope="module")
def clip():
    seeds = (sample_scene(Random(seed), "single") for seed in range(100))
    return render(next(scene for scene in seeds if scene.objects[0].motion == "bounce"))


def test_equal_paths_correlate_opposite_ones_do_not(clip):
    assert path_correlation(clip.frames, clip.frames) == 1.0
    mirrored = clip.frames.flip(1, 2)
    assert path_correlation(clip.frames, mirrored) == pytest.approx(-1.0, abs=0.01)


def test_longer_video_is_cut_and_a_still_one_has_no_figure(clip):
    assert path_correlation(clip.frames, clip.frames[:17]) == 1.0
    still = clip.frames[:1].expand(33, -1, -1, -1)
    assert path_correlation(clip.frames, still) is None
    assert path_correlation(clip.frames, torch.full((33, 64, 64, 3), 0.4)) is None


def test_colour_is_judged_against_the_prompt(clip):
    colour = clip.scene.objects[0].colour
    other = "blue" if colour != "blue" else "red"
    assert colour_is_right(clip.caption, clip.frames) is True
    assert colour_is_right(f"a {other} star", clip.frames) is False
    assert colour_is_right("a star on a grey ground", clip.frames) is None


def test_colour_of_the_ground_is_not_the_thing_colour():
    assert named_colour("A Blue star on a plain teal ground") == "blue"
    assert named_colour("a star on a plain teal ground") is None
