"""Without strength, and without an AMF, sampling equals the plain model bit for bit; with both it does not."""

import pytest
import torch

STOCK = ["KSampler", "KSamplerAdvanced", "SamplerCustomAdvanced"]


@pytest.mark.parametrize("name", STOCK)
def test_stock_samplers(sample, graph, samplers, name):
    plain = sample(graph.loader(), samplers[name](("model", 0)))
    parts = graph.loader(), graph.amf(), samplers[name](("guidance", 0))
    for off in ({"strength": 0.0}, {"amf": None}, {"inner_steps": 0}, {"amf": None, "strength": 1.0}):
        assert torch.equal(sample(*parts, graph.guidance(**off)), plain), off
    guided = sample(*parts, graph.guidance())
    assert torch.isfinite(guided).all() and (guided - plain).abs().max() > 0.01


def test_guidance_sampler_is_guidance_and_ksampler(sample, graph, samplers):
    ours = samplers["VMT_MotionGuidanceSampler"]
    plain = sample(graph.loader(), graph.ksampler(("model", 0)))
    for off in ({"strength": 0.0}, {"amf": None}):
        assert torch.equal(sample(graph.loader(), graph.amf(), ours(("model", 0), **off)), plain)
    guided = sample(graph.loader(), graph.amf(), graph.guidance(), graph.ksampler())
    assert torch.equal(sample(graph.loader(), graph.amf(), ours(("model", 0))), guided)
    assert (guided - plain).abs().max() > 0.01


def test_strength_0_is_off_whatever_the_options_and_no_inner_steps_leave_the_latent_flow(sample, graph):
    rare = {"update": "rms", "strength_decay": 0.0, "loss_floor": 0.0, "blocks": "all", "checkpoint": "auto"}
    options = {"options": graph.node("VMT_GuidanceOptions", **rare, latent_steps=2)}
    plain = sample(graph.loader(), graph.ksampler(("model", 0)))

    def guided(**settings):
        guidance = graph.guidance(options=["options", 0], **settings)
        return sample(graph.loader(), graph.amf(), options, guidance, graph.ksampler())

    assert torch.equal(guided(strength=0.0), plain)
    assert not torch.equal(guided(inner_steps=0), plain)


def test_the_three_stock_samplers_guide_alike(sample, graph, samplers):
    parts = graph.loader(), graph.amf(), graph.guidance()
    results = [sample(*parts, samplers[name](("guidance", 0))) for name in STOCK]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_nothing_is_attached_when_off(sample, graph):
    model = sample(graph.loader(), want=("model", 0))
    off = sample(graph.loader(), graph.amf(), graph.guidance(strength=0.0), want=("guidance", 0))
    assert off is not model and off.model is model.model
    assert off.wrappers == model.wrappers and off.model_options == model.model_options


def test_outside_its_range_guidance_does_nothing(sample, graph, caplog):
    plain = sample(graph.loader(), graph.ksampler(("model", 0)))
    out_of_range = graph.guidance(sigma_start=0.301, sigma_end=0.3)
    assert torch.equal(sample(graph.loader(), graph.amf(), out_of_range, graph.ksampler()), plain)
    assert "No step is guided" in caplog.text and "0.3" in caplog.text


def test_a_slice_of_the_steps_is_guided_by_its_noise_levels(sample, graph, samplers):
    """Two KSamplerAdvanced that share the steps, as with two experts: same result as one, guided in whichever part."""
    advanced, amf = samplers["KSamplerAdvanced"], (graph.loader(), graph.amf(), graph.guidance())
    whole = sample(*amf, advanced(("guidance", 0)))
    first = advanced(("guidance", 0), end_at_step=2, return_with_leftover_noise="enable")
    second = advanced(("guidance", 0), add_noise="disable", start_at_step=2, latent_image=["first", 0])
    split = sample(*amf, {"first": first["sampled"]}, second)
    assert (split - whole).abs().max() < 1e-3 * whole.abs().max()
