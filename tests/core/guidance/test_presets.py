import pytest

from vmt.guidance.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_scales(name):
    preset = PRESETS[name]
    assert preset.scaled(1) == preset and preset.about
    off = preset.scaled(0)
    assert off.attention.is_off and off.latent.is_off
    double = preset.scaled(2)
    assert double.latent.strength == 2 * preset.latent.strength > 0
    assert double.attention.strength == 2 * preset.attention.strength


def test_only_free_leaves_the_model_alone():
    assert [name for name, preset in PRESETS.items() if preset.attention.is_off] == ["free"]
