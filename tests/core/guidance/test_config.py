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
    ],
)
def test_settings_that_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        GuidanceConfig(**changes)
