"""How a motion LoRA is used, as a file says it."""

import pytest

from vmt.lora.use import Use, use_in_file


@pytest.mark.parametrize("use", [Use(), Use(0.7)])
def test_a_file_says_it(use):
    assert use_in_file({"setting_sigma_end": "0.9", **use.written()}) == use and use_in_file(use.written()).flow is None


@pytest.mark.parametrize(
    ("told", "use"),
    [
        ({}, Use()),
        ({"setting_sigma_end": "0.8"}, Use(0.8)),
        ({"setting_sigma_end": "some"}, Use()),
        ({"setting_sigma_end": "nan"}, Use()),
        ({"setting_sigma_end": "7"}, Use(1.0)),
    ],
)
def test_a_file_that_does_not_say_it_or_nonsense(told, use):
    assert use_in_file(told) == use
