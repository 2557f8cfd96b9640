"""Attention read at half the height and width: what the model is shown there, and that guidance works with it."""

import pytest
import torch
from torch.nn.functional import avg_pool3d

from vmt.launch.run_result import NodeFailed


@pytest.fixture
def guided(sample, graph):
    def run(size="half", give=None, amf=None, **settings):
        rare = {"update": "rms", "strength_decay": 0.0, "loss_floor": 0.0, "blocks": "all", "checkpoint": "auto"}
        options = graph.node("VMT_GuidanceOptions", **rare, size=size)
        parts = graph.loader(), graph.amf(**(amf or {})), {"options": options}
        return sample(*parts, graph.guidance(options=["options", 0], **settings), graph.ksampler(), give=give)

    return run


def test_the_reference_is_looked_at_in_both_sizes(sample, graph, given, model, inside, pack):
    """At half size as in a pass of its own: the clip and its noise pooled, at the level that pooling leaves."""
    noised = {"sigma": 0.6, "noise_seed": 7}
    features = sample(graph.loader(), graph.amf(**noised), want=("inversion", 0))
    clean = model.model.latent_format.process_in(given["reference"]["samples"])
    noise = pack("vmt.flow_matching").seeded_noise(clean.shape, 7)
    half = features.half
    assert str(half.grid) == "3x2x2" and half.sigma == pytest.approx(0.3 / 0.7) and half.half is None
    assert torch.allclose(half.latent, avg_pool3d(clean, (1, 2, 2)), atol=1e-6)

    shown = avg_pool3d(0.4 * clean + 0.6 * noise, (1, 2, 2)) / 0.7
    capture = pack("nodes.host.capture")
    tap = capture.Tap(half.blocks, 4, half.grid)

    def look(sampled, x, sigmas, extra_args):
        guider, level = sampled.inner_model, torch.tensor([0.3 / 0.7])
        prompts = guider.conds["positive"]
        return capture.capture_queries_keys(guider.inner_model, prompts, shown, level, extra_args["model_options"], tap)

    queries, keys = inside(model, look, positive=[[torch.zeros(1, 1, 4096), {}]])
    for block in half.blocks:
        assert torch.allclose(half.queries[block], queries[block], atol=1e-4)
        assert torch.allclose(half.keys[block], keys[block], atol=1e-4)


def test_it_is_another_guidance_and_off_at_strength_zero(guided, plain):
    base = plain()
    half, full = guided(strength=0.04), guided("full", strength=0.04)
    assert torch.isfinite(half).all() and not torch.equal(half, full) and not torch.equal(half, base)
    assert torch.equal(guided(strength=0.0), base)
    assert torch.equal(plain(), base)


@pytest.mark.parametrize("preset", ["quality", "balanced", "custom"])
def test_it_counts_with_each_preset_that_looks_at_attention(guided, preset):
    assert not torch.equal(guided(preset=preset), guided("full", preset=preset))


def test_the_preset_balanced_is_quality_at_half_size(guided):
    assert torch.equal(guided("auto", preset="balanced"), guided("half", preset="quality"))
    assert torch.equal(guided("auto", preset="quality"), guided("full", preset="balanced"))


def test_a_preset_takes_full_size_where_frames_are_too_small(guided, sample, graph, given):
    small = {"samples": given["reference"]["samples"][..., :4]}
    empty = {"samples": torch.zeros_like(small["samples"])}
    give, amf = {"small": small, "empty": empty}, {"reference": ["small", 0]}
    results = [guided(size, preset="balanced", amf=amf, give=give) for size in ("auto", "full")]
    assert torch.equal(*results)
    assert not torch.equal(results[0], sample(graph.loader(), graph.ksampler(("model", 0)), give=give))


def test_it_costs_less(guided, pack):
    compute, flops = pack("vmt.bench.compute").Compute, {}
    for size in ("half", "full"):
        guided(size, preset="quality")  # the look at the reference is kept by the host
        with compute() as counted:
            guided(size, preset="quality", strength=0.041)
        flops[size] = counted.flops
    assert flops["half"] < 0.8 * flops["full"]


def test_a_region_counts_at_half_size_too(guided, regions):
    whole, left = regions
    base = guided()
    assert torch.equal(guided(region=["mask", 0], give={"mask": whole}), base)
    assert not torch.equal(guided(region=["mask", 0], give={"mask": left}), base)


def test_the_loss_falls(guided, caplog):
    caplog.set_level("INFO")
    guided(strength=0.04, inner_steps=6)
    steps = [line.rsplit("loss ", 1)[1].split(" to ") for line in caplog.text.splitlines() if "noise level" in line]
    assert steps and all(float(last) < float(first) for first, last in steps)


def test_a_frame_that_is_too_small_is_refused(guided, given, model):
    small = {"samples": given["reference"]["samples"][..., :4]}
    with pytest.raises(NodeFailed, match="3 tokens high and wide at least"):
        guided(amf={"reference": ["small", 0]}, give={"small": small})


def test_words_that_are_no_size(guided):
    with pytest.raises(Exception, match="size"):
        guided("quarter")


@pytest.mark.parametrize("kind", ["vace", "i2v"])
def test_what_lies_over_the_frame_is_pooled(other_wan, sample, graph, inside, pack, kind):
    """Pictures and control videos are made smaller with the latent, text is not, and what was given stays as it is."""
    half_prompts = pack("nodes.host.half_prompts").half_prompts
    model = sample(graph.loader(other_wan(kind)), want=("model", 0))

    def look(sampled, x, sigmas, extra_args):
        prompts = sampled.inner_model.conds["positive"]
        return prompts, half_prompts(prompts, x), x

    (given,), (halved,), x = inside(model, look)
    name = {"vace": "vace_context", "i2v": "c_concat"}[kind]
    before, after = given["model_conds"][name].cond, halved["model_conds"][name].cond
    assert before.shape[-2:] == x.shape[-2:]
    assert after.shape == (*before.shape[:-2], before.shape[-2] // 2, before.shape[-1] // 2)
    pooled = avg_pool3d(before.reshape(-1, 1, 1, *before.shape[-2:]), (1, 2, 2)).reshape(after.shape)
    assert torch.equal(after, pooled)
    text = "c_crossattn"
    assert halved["model_conds"][text] is given["model_conds"][text]
