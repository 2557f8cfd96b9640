import math

import pytest

from vmt.errors import InputError
from vmt.guidance.config import GuidanceConfig


def test_range_includes_both_ends_within_float32_rounding():
    config = GuidanceConfig(sigma_start=0.96, sigma_end=0.88)
    guided = [config.guides(sigma) for sigma in (1.0, 0.9601, 0.96 + 1e-7, 0.9, 0.88 - 1e-7, 0.8799, 0.0)]
    assert guided == [False, False, True, True, True, False, False]


def test_off():
    for config in (GuidanceConfig(strength=0), GuidanceConfig(inner_steps=0)):
        assert config.is_off and not config.guides(0.9)
    assert not GuidanceConfig().is_off


def test_published_schedule_of_step_sizes():
    config = GuidanceConfig(strength=0.003, strength_decay=1 / 3, inner_steps=10)
    assert [config.step_size(j) for j in (0, 5, 9)] == pytest.approx([0.003, 0.0025, 0.0021])
    assert sum(config.step_size(j) for j in range(10)) == pytest.approx(0.0255)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strength": -0.1}, "strength is -0.1; 0 or more"),
        ({"strength": math.nan}, "strength is nan"),
        ({"sigma_start": 1.5}, "sigma_start is 1.5; 0 to 1"),
        ({"sigma_end": -1}, "sigma_end is -1"),
        ({"sigma_start": 0.5, "sigma_end": 0.9}, "Exchange the two values"),
        ({"inner_steps": -1}, "inner_steps is -1"),
        ({"recompute_every": 0}, "recompute_every is 0; 1 or more"),
        ({"update": "sgd"}, "rms or adam or sign"),
        ({"strength_decay": 2.0}, "strength_decay is 2.0"),
        ({"loss_floor": -1.0}, "loss_floor is -1.0"),
        ({"smoothing": -0.5}, "smoothing is -0.5"),
        ({"max_steps": -1}, "max_steps is -1"),
    ],
)
def test_settings_that_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        GuidanceConfig(**changes)


LEVELS = [1.0, 0.98, 0.96, 0.94, 0.92, 0.9, 0.87, 0.5, 0.1]


@pytest.mark.parametrize(
    ("settings", "guided"),
    [
        ({}, [1.0, 0.98, 0.96, 0.94, 0.92, 0.9]),
        ({"max_steps": 6}, [1.0, 0.98, 0.96, 0.94, 0.92, 0.9]),
        ({"max_steps": 3}, [1.0, 0.96, 0.9]),
        ({"max_steps": 2}, [1.0, 0.9]),
        ({"max_steps": 1}, [1.0]),
        # nothing is predicted before the first step, so a run that leaves some out leaves out that one
        ({"max_steps": 3, "share_forward": True}, [0.98, 0.94, 0.9]),
        ({"max_steps": 5, "share_forward": True}, [0.98, 0.96, 0.94, 0.92, 0.9]),
        ({"max_steps": 6, "share_forward": True}, [1.0, 0.98, 0.96, 0.94, 0.92, 0.9]),
        ({"max_steps": 3, "share_forward": True, "sigma_start": 0.97}, [0.96, 0.92, 0.9]),
        ({"max_steps": 3, "share_forward": True, "look_ahead": False}, [1.0, 0.96, 0.9]),
        ({"strength": 0.0}, []),
    ],
)
def test_which_steps_are_guided(settings, guided):
    assert GuidanceConfig(**settings).guided_levels(LEVELS) == guided


@pytest.mark.parametrize(
    ("settings", "guided"),
    [
        ({}, [0.98, 0.96, 0.94, 0.92, 0.9]),
        ({"max_steps": 6}, [0.98, 0.96, 0.94, 0.92, 0.9]),
        ({"max_steps": 3}, [0.98, 0.94, 0.9]),
        ({"sigma_start": 0.97}, [0.96, 0.94, 0.92, 0.9]),
        ({"sigma_end": 0.99}, []),
    ],
)
def test_what_needs_a_prediction_does_not_guide_the_first(settings, guided):
    assert GuidanceConfig(**settings).guided_levels(LEVELS, needs_prediction=True) == guided


def test_a_run_without_steps_in_the_range():
    assert GuidanceConfig(max_steps=2).guided_levels([0.5, 0.1]) == []
    assert GuidanceConfig().guided_levels([], needs_prediction=True) == []
