"""Where a motion LoRA is used, as the tuner chooses it and as a file says it."""

import pytest

from vmt.lora.use import CAMERA, Use, use_in_file, use_of


def test_a_thing_s_motion_is_used_where_it_was_learned():
    assert use_of(0.0, 0.7) == Use(0.7) == Use(0.7, 1.0, 1.0)


@pytest.mark.parametrize("learned", [0.7, 0.2, 0.0])
def test_a_camera_s_further_down_and_never_above_where_it_was_learned(learned):
    assert use_of(1.0, learned) == Use(min(learned, CAMERA.sigma_end), CAMERA.positive, CAMERA.negative)


def test_in_between_it_is_in_between():
    half = use_of(0.5, 0.7)
    assert CAMERA.sigma_end < half.sigma_end < 0.7
    assert CAMERA.negative < half.negative < 1 < half.positive < CAMERA.positive


@pytest.mark.parametrize("use", [Use(), Use(0.7), CAMERA, use_of(0.5, 0.7)])
def test_a_file_says_it(use):
    assert use_in_file({"setting_sigma_end": "0.9", **use.written()}) == use


@pytest.mark.parametrize(
    ("told", "use"),
    [
        ({}, Use()),
        ({"setting_sigma_end": "0.8"}, Use(0.8)),
        ({"setting_sigma_end": "some"}, Use()),
        ({"used_above": "nan", "used_under_negative": "7"}, Use(0.0, 1.0, 2.0)),
        ({"setting_sigma_end": "0.8", "used_under_negative": "-1"}, Use(0.8, 1.0, 0.0)),
    ],
)
def test_a_file_that_does_not_say_it_or_nonsense(told, use):
    assert use_in_file(told) == use
