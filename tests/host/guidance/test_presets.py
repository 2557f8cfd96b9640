"""The presets in a real run: what they cost, that they can be switched off, and that nothing of them stays."""

import pytest
import torch

STEPS, BLOCKS, TAPPED = 6, 4, 3  # the tiny model's; taps of its blocks 1 and 2 run three of its four
PRESETS = ("quality", "balanced", "free")


@pytest.fixture
def guided(sample, graph):
    def run(preset, give=None, sampler=None, **settings):
        parts = graph.loader(), graph.amf(), graph.guidance(preset=preset, **{"strength": 0.04, **settings})
        return sample(*parts, graph.ksampler(**(sampler or {})), give=give)

    return run


def test_each_preset_is_another_guidance(guided, plain):
    results = [plain(), guided("custom"), *(guided(preset) for preset in PRESETS)]
    assert all(torch.isfinite(latent).all() for latent in results)
    assert all(not torch.equal(a, b) for i, a in enumerate(results) for b in results[:i])


def test_a_graph_without_a_preset_is_custom(sample, graph, guided):
    assert torch.equal(sample(graph.loader(), graph.amf(), graph.guidance(strength=0.04), graph.ksampler()),
                       guided("custom"))  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
def test_strength_scales_and_zero_is_the_plain_model(guided, plain, preset):
    base = plain()
    assert torch.equal(guided(preset, strength=0.0), base)
    weak, strong = ((guided(preset, strength=s) - base).square().mean().item() for s in (0.01, 0.04))
    assert 0 < weak < strong


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_of_it_stays(guided, plain, preset):
    before = plain()
    guided(preset)
    assert torch.equal(plain(), before)


@pytest.mark.parametrize("preset", PRESETS)
def test_only_what_a_preset_has_no_value_of_its_own_for_counts(guided, preset):
    others = {"sigma_start": 0.95, "sigma_end": 0.9, "inner_steps": 7, "recompute_every": 3, "look_ahead": False}
    assert torch.equal(guided(preset, **others), guided(preset))


@pytest.mark.parametrize(
    ("preset", "gradients", "own"),
    [
        # of the levels 1, .976, .941, .889, .8 and .615 five lie in the range to .8
        ("quality", 2 * 5, 2),  # nothing is predicted before the first
        ("balanced", 2 * 5, 2),
        ("free", 0, 0),
    ],
)
def test_passes_through_the_model(sample, graph, guided, pack, preset, gradients, own):
    compute = pack("vmt.bench.compute").Compute
    sample(graph.loader(), graph.amf(), want=("amf", 0))  # the look at the reference is kept by the host
    with compute() as counted:
        guided(preset)
    looks = TAPPED / BLOCKS * (gradients + 1)
    assert counted.forwards in (2 * STEPS + own + looks, 2 * STEPS + own + looks - TAPPED / BLOCKS)
    assert counted.backwards == TAPPED / BLOCKS * gradients


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "uni_pc", "euler_ancestral"])
def test_every_sampler(guided, plain, preset, sampler):
    with_sampler = {"sampler_name": sampler}
    base = plain(**with_sampler)
    assert torch.equal(guided(preset, strength=0.0, sampler=with_sampler), base)
    moved = guided(preset, sampler=with_sampler)
    assert torch.isfinite(moved).all() and not torch.equal(moved, base)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_region_limits_a_preset(guided, regions, preset):
    whole, half = regions
    base = guided(preset)
    assert torch.equal(guided(preset, region=["mask", 0], give={"mask": whole}), base)
    assert not torch.equal(guided(preset, region=["mask", 0], give={"mask": half}), base)


@pytest.mark.parametrize("preset", PRESETS)
def test_without_a_negative_prompt(guided, plain, preset):
    one = {"cfg": 1.0}
    assert not torch.equal(guided(preset, sampler=one), plain(**one))
