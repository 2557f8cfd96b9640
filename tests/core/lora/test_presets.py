import pytest

from vmt.errors import InputError
from vmt.lora.branches import SPATIAL, TEMPORAL
from vmt.lora.presets import TunerConfig


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"spatial_steps": 0, "half_steps": 0, "temporal_steps": 0}, "0 spatial, 0 half-size and 0 temporal steps"),
        ({"temporal_steps": -1}, "-1 temporal steps"),
        ({"half_steps": -1}, "-1 half-size"),
        ({"sigma_end": 1.0}, "down to noise level 1.0"),
        ({"sigma_end": -0.1}, "down to noise level -0.1"),
        ({"heads": "none"}, "heads"),
    ],
)
def test_what_cannot_be_trained_is_refused(bad, said):
    with pytest.raises(InputError, match=said):
        TunerConfig(**bad)


@pytest.mark.parametrize(("appearance_rank", "ranks"), [(0, (12, 12)), (4, (4, 12))])
def test_the_look_may_have_a_rank_of_its_own(appearance_rank, ranks):
    config = TunerConfig(appearance_rank=appearance_rank)
    assert (config.rank_of(SPATIAL), config.rank_of(TEMPORAL)) == ranks
