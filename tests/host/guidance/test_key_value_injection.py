"""Key Value Injection in the host: where the video is the reference it changes nothing, elsewhere it does."""

import pytest
import torch


def injection(model=("model", 0), **settings):
    inputs = {"model": list(model), "reference": ["reference", 0], "sigma_end": 0.5, **settings}
    return {"guidance": {"class_type": "VMT_KeyValueInjection", "inputs": inputs}}


@pytest.fixture
def one_step(samplers):
    """A sampler that takes the second of six steps alone, from a latent that it noises."""

    def made(model, latent="empty"):
        advanced = samplers["KSamplerAdvanced"]
        return advanced(model, start_at_step=1, end_at_step=2, return_with_leftover_noise="enable",
                        latent_image=[latent, 0])  # fmt: skip

    return made


def test_keys_and_values_of_the_video_itself_change_nothing(sample, graph, one_step):
    """The reference in the run's noise is the video: its block 0, without a full pass, must be the full pass's."""
    plain = sample(graph.loader(), one_step(("model", 0), "reference"))
    assert torch.equal(sample(graph.loader(), injection(), one_step(("guidance", 0), "reference")), plain)


def test_those_of_another_do(sample, graph, one_step):
    plain = sample(graph.loader(), one_step(("model", 0)))
    injected = sample(graph.loader(), injection(), one_step(("guidance", 0)))
    assert torch.isfinite(injected).all() and (injected - plain).abs().max() > 0.01


def test_both_prompts_are_injected(sample, graph, samplers, given):
    """With one prompt on both sides, what is left of guidance by them is nothing, as long as both see the same."""
    same = {"positive": given["positive"], "negative": given["positive"]}
    alone, guided = (
        sample(graph.loader(), injection(), samplers["KSampler"](("guidance", 0), cfg=cfg), give=same)
        for cfg in (1.0, 6.0)
    )
    torch.testing.assert_close(alone, guided, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["KSampler", "KSamplerAdvanced", "SamplerCustomAdvanced"])
def test_below_sigma_end_and_at_the_first_step_nothing_changes(sample, graph, samplers, name):
    plain = sample(graph.loader(), samplers[name](("model", 0)))
    assert torch.equal(sample(graph.loader(), injection(sigma_end=1.0), samplers[name](("guidance", 0))), plain)
    assert not torch.equal(sample(graph.loader(), injection(), samplers[name](("guidance", 0))), plain)
    assert torch.equal(sample(graph.loader(), samplers[name](("model", 0))), plain), "the model is left as it was"


def test_guidance_sees_it_too(sample, graph):
    """In both orders on the MODEL line, in passes for the gradient as well."""
    injected = {"injected": injection(sigma_end=0.9)["guidance"]}
    first = sample(graph.loader(), graph.amf(), injected, graph.guidance(("injected", 0)), graph.ksampler())
    last = {"last": injection(("guidance", 0), sigma_end=0.9)["guidance"]}
    other = sample(graph.loader(), graph.amf(), graph.guidance(), last, graph.ksampler(("last", 0)))
    assert torch.equal(first, other)
    alone = sample(graph.loader(), graph.amf(), graph.guidance(), graph.ksampler())
    assert torch.isfinite(first).all() and (first - alone).abs().max() > 0.01


def test_a_reference_is_looked_at_without_it(sample, graph, given):
    """At a noise level where it is on, and of another size than its own reference."""
    alone = sample(graph.loader(), graph.amf(sigma=0.9), want=("inversion", 0))
    other = {"other": {"samples": torch.ones(1, 16, 5, 8, 8)}}
    amf = graph.amf(("guidance", 0), sigma=0.9)
    for reference in ("reference", "other"):
        behind = sample(
            graph.loader(), injection(reference=[reference, 0]), amf, want=("inversion", 0), give=other
        )  # fmt: skip
        assert all(torch.equal(behind.queries[block], alone.queries[block]) for block in alone.queries)


@pytest.mark.parametrize(
    "reference, told",
    [
        (torch.zeros(1, 16, 3, 8, 8), "is empty"),
        (torch.ones(1, 16, 1, 8, 8), "at least 2"),
        (torch.ones(2, 16, 3, 8, 8), "2 clips"),
        (torch.ones(1, 48, 3, 8, 8), "48 channels"),
        (torch.ones(1, 16, 5, 8, 8), "The reference has a .* token grid.* Encode 9 frames at 64x64"),
    ],
)
def test_bad_input_is_told(sample, graph, reference, told):
    with pytest.raises(Exception, match=told):
        sample(graph.loader(), injection(), graph.ksampler(), give={"reference": {"samples": reference}})


def test_a_model_that_takes_a_picture_too_is_refused(sample, graph, other_wan):
    with pytest.raises(Exception, match="takes a picture beside the video"):
        sample(graph.loader(other_wan("i2v")), injection(), want=("guidance", 0))


def test_a_run_that_adds_no_noise_of_its_own(sample, graph, samplers):
    """The second half of a split run: the reference must be in noise there too, not almost nothing."""
    first = samplers["KSamplerAdvanced"](("model", 0), end_at_step=1, return_with_leftover_noise="enable")
    half = {"half": {"samples": sample(graph.loader(), first)}}
    rest = {"start_at_step": 1, "end_at_step": 2, "return_with_leftover_noise": "enable", "latent_image": ["half", 0]}
    whole = {**rest, "start_at_step": 0, "latent_image": ["empty", 0]}
    add, off = ({"add_noise": "enable"}, {"add_noise": "disable"})
    plain, injected = (
        sample(graph.loader(), injection(), samplers["KSamplerAdvanced"](line, **off, **rest), give=half)
        for line in (("model", 0), ("guidance", 0))
    )
    in_one = sample(graph.loader(), injection(), samplers["KSamplerAdvanced"](("guidance", 0), **add, **whole))
    # Both parts of the run are of one seed, and so is the reference's noise; large numbers, since noise is left over.
    assert (injected - in_one).abs().max() < 0.02 < 0.1 < (plain - in_one).abs().max()


def test_says_if_nothing_was_injected(sample, graph, model, pack, caplog):
    """Context windows and the like show the model other numbers of tokens."""
    from comfy.patcher_extension import WrappersMP

    def longer(executor, x, *args, **kwargs):
        return executor(torch.cat([x, x], 2), *args, **kwargs)[:, :, : x.shape[2]]

    line = model.clone()
    line.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "test", longer)
    plain = sample(graph.loader(), graph.ksampler(("longer", 0)), give={"longer": line})
    assert "changed nothing" not in caplog.text
    assert torch.equal(sample(graph.loader(), injection(("longer", 0)), graph.ksampler(), give={"longer": line}), plain)
    assert "Key Value Injection changed nothing" in caplog.text and "3x4x4 tokens" in caplog.text
