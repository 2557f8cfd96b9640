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


@pytest.mark.parametrize("name", PRESETS)
def test_what_attention_does_not_show_is_left_to_the_latent_flow(name):
    preset = PRESETS[name]
    blind, half, sees = (preset.trusting(trust) for trust in (0, 0.5, 1))
    assert blind.attention.is_off and blind.latent == preset.latent
    assert sees.attention == preset.attention
    assert half.attention.strength == preset.attention.strength / 2
    assert sees.latent.strength <= half.latent.strength <= blind.latent.strength


def test_beside_attention_of_the_videos_own_size_latent_flow_holds_back():
    assert [name for name, preset in PRESETS.items() if preset.trusting(1).latent != preset.latent] == ["quality"]


def test_where_the_ground_moves_too_the_latent_flow_keeps_its_part():
    quality = PRESETS["quality"]
    strengths = [quality.trusting(1, whole).latent.strength for whole in (0, 0.5, 1)]
    assert strengths == sorted(strengths) and strengths[0] < strengths[1] < strengths[2] == quality.latent.strength
    assert quality.trusting(1, 1).attention == quality.attention
