"""Frame Difference Pull in the host: off is plain, on it pulls, and it costs no pass through the model."""

import pytest
import torch


def pull(**settings):
    inputs = {"strength": 0.5, "softness": 0.1, "sigma_start": 1.0, "sigma_end": 0.0, **settings}
    given = {"model": ["model", 0], "reference": ["reference", 0]}
    return {"guidance": {"class_type": "VMT_FrameDifferencePull", "inputs": {**given, **inputs}}}


@pytest.mark.parametrize("name", ["KSampler", "KSamplerAdvanced", "SamplerCustomAdvanced"])
def test_off_is_plain_and_on_is_not(sample, graph, samplers, name):
    sampler = samplers[name]
    plain = sample(graph.loader(), sampler(("model", 0)))
    for off in ({"strength": 0.0}, {"sigma_start": 0.301, "sigma_end": 0.3}):
        assert torch.equal(sample(graph.loader(), pull(**off), sampler(("guidance", 0))), plain), off
    assert (sample(graph.loader(), pull(), sampler(("guidance", 0))) - plain).abs().max() > 0.01
    assert torch.equal(sample(graph.loader(), sampler(("model", 0))), plain), "the model is left as it was"


def test_pulled_to_the_end_the_differences_are_the_references(sample, graph, given):
    """Full strength at all levels: what comes out changes from frame to frame as the reference does."""
    result = sample(graph.loader(), pull(strength=1.0, softness=0.0), graph.ksampler())
    wanted = given["reference"]["samples"].diff(dim=2)
    torch.testing.assert_close(result.float().diff(dim=2), wanted, atol=2e-2, rtol=0)


def test_no_pass_is_added(sample, graph, pack, monkeypatch):
    import comfy.ldm.wan.model as wan

    calls, forward = [], wan.WanModel.forward_orig
    monkeypatch.setattr(wan.WanModel, "forward_orig", lambda *a, **k: calls.append(1) or forward(*a, **k))
    sample(graph.loader(), graph.ksampler(("model", 0)))
    plain = len(calls)
    sample(graph.loader(), pull(), graph.ksampler())
    assert len(calls) == 2 * plain > 0


@pytest.mark.parametrize(
    "settings, reference, told",
    [
        ({"sigma_start": 0.2, "sigma_end": 0.5}, None, "Exchange the two values"),
        ({}, torch.zeros(1, 16, 3, 8, 8), "is empty"),
        ({}, torch.ones(1, 16, 1, 8, 8), "at least 2"),
        ({}, torch.ones(2, 16, 3, 8, 8), "2 clips"),
        ({}, torch.ones(1, 48, 3, 8, 8), "48 channels"),
        ({}, torch.ones(1, 16, 5, 8, 8), "reference's size and length"),
    ],
)
def test_bad_input_is_told(sample, graph, settings, reference, told):
    give = {} if reference is None else {"reference": {"samples": reference}}
    with pytest.raises(Exception, match=told):
        sample(graph.loader(), pull(**settings), graph.ksampler(), give=give)
