"""Calling a sampler in pieces: progress is seen once, noise goes on, and nothing is lost where nothing need be."""

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

TINY = 1e-30  # an update that float32 rounds away: all of the guided path runs, and moves nothing
STEPS = 6
# Equal to one call. The others keep results of earlier steps, and start anew at each guided step.
EXACT = [
    "euler", "heun", "ddim", "dpm_2", "euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "lcm",
    "euler_cfg_pp", "euler_ancestral_cfg_pp", "ddpm", "seeds_2",
]  # fmt: skip
FORGETTING = ["dpmpp_2m", "res_multistep", "uni_pc", "dpmpp_2m_sde", "dpmpp_3m_sde", "lms", "ipndm", "deis",
              "gradient_estimation", "er_sde", "sa_solver", "dpm_fast", "dpm_adaptive", "heunpp2"]  # fmt: skip


@pytest.fixture
def both(sample, graph):
    """both(sampler) -> the plain result and the one in pieces, without any change of the latent."""

    def run(name):
        inputs = {"sampler_name": name, "steps": STEPS}
        plain = sample(graph.loader(), graph.ksampler(("model", 0), **inputs))
        pieces = sample(graph.loader(), graph.amf(), graph.guidance(strength=TINY, inner_steps=1),
                        graph.ksampler(**inputs))  # fmt: skip
        return plain, pieces

    return run


@pytest.mark.parametrize("name", [*EXACT, *FORGETTING])
def test_without_strength_the_run_is_plain(sample, graph, name):
    inputs = {"sampler_name": name, "steps": STEPS}
    plain = sample(graph.loader(), graph.ksampler(("model", 0), **inputs))
    off = sample(graph.loader(), graph.amf(), graph.guidance(strength=0.0), graph.ksampler(**inputs))
    assert torch.equal(off, plain)


@pytest.mark.parametrize("name", EXACT)
def test_pieces_equal_one_call(both, caplog, name):
    plain, pieces = both(name)
    assert torch.equal(plain, pieces)
    assert "forgets earlier steps" not in caplog.text


@pytest.mark.parametrize("name", FORGETTING)
def test_samplers_with_memory_run_and_say_so(both, caplog, name):
    _, pieces = both(name)
    assert torch.isfinite(pieces).all()
    assert "forgets earlier steps" in caplog.text and name.replace("_", "") in caplog.text.replace("_", "")


@pytest.mark.parametrize("name, stays", [("dpmpp_2m", True), ("euler", False)])
def test_that_a_sampler_forgets_stays_on_the_node(executor, graph, given, name, stays):
    """A node shows the text it was sent last; the steps send theirs in between."""
    from protocol import BinaryEventTypes

    prompt = {**graph.loader(), **graph.amf(), **graph.guidance(), **graph.ksampler(steps=STEPS, sampler_name=name)}
    executor.forget()
    events = executor.run(prompt, want={"latent": ["sampled", 0]}, give=given).events
    texts = [data for event, data in events if event == BinaryEventTypes.TEXT and data[4:].startswith(b"sampled")]
    assert (b"forgets earlier steps" in texts[0], b"forgets earlier steps" in texts[-1]) == (stays, stays)
    assert any(b"loss" in text for text in texts)


class ConstantClip:
    """A model that predicts one clip whatever it is shown, in the form that samplers call it."""

    def __init__(self, clip):
        import comfy.model_sampling

        class Flow(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
            pass

        self.clip, flow = clip, Flow()
        patcher = SimpleNamespace(get_model_object=lambda name: flow)
        wan = SimpleNamespace(model_sampling=flow)
        self.inner_model = SimpleNamespace(inner_model=wan, model_patcher=patcher)

    def __call__(self, x, sigma, model_options, **kwargs):
        told = {"denoised": self.clip, "cond_denoised": self.clip, "uncond_denoised": self.clip, "sigma": sigma}
        for look in model_options.get("sampler_post_cfg_function", []):
            look({**told, "input": x, "model_options": model_options})
        return self.clip


@pytest.mark.parametrize("at_steps", [[0, 1, 2, 3, 4], [1, 3], [4]], ids=["each", "every second", "last"])
@pytest.mark.parametrize("name", [*EXACT, *FORGETTING, "uni_pc_bh2"])
def test_pieces_arrive_where_the_model_points(host, pack, name, at_steps):
    """Whatever is guided: where every prediction is one clip, a run ends at it."""
    import comfy.samplers

    sampler, generator = comfy.samplers.sampler_object(name), torch.Generator().manual_seed(0)
    x, clip = torch.randn(2, 1, 4, 2, 4, 4, generator=generator)
    sigmas = torch.tensor([0.98, 0.9, 0.7, 0.4, 0.15, 0.0])

    def run(steps):
        arguments = (ConstantClip(clip), x.clone(), sigmas.clone(), {"seed": 3, "model_options": {}}, None, True)
        return pack("nodes.host.sampler_chunks").sample_in_chunks(
            sampler.sampler_function, lambda x, i: x, steps, *arguments, dict(sampler.extra_options)
        )

    end, seen = run(at_steps), clip
    if name in ("dpm_fast", "dpm_adaptive"):  # they stop at the last noise level above 0, alone as in pieces
        seen = torch.lerp(clip, x, sigmas[-2] / sigmas[0])
    # UniPC takes .001 for 0.
    torch.testing.assert_close(end, seen, atol=0.01 if name.startswith("uni_pc") else 1e-5, rtol=0)


def test_noise_of_a_piece_is_not_repeated(both, monkeypatch, pack):
    """Without one noise source for the run, ancestral samplers differ: what the persistent one is for."""
    chunks = pack("nodes.host.sampler_chunks")
    monkeypatch.setattr(chunks, "_persistent_noise", lambda *args: {})
    plain, pieces = both("euler_ancestral")
    assert (plain - pieces).abs().max() > 0.1


def test_noise_of_a_wrapped_sampler_is_not_repeated(pack):
    """Other packs put a sampler into a function that hands on whatever it is given."""
    from comfy.k_diffusion import sampling

    chunks, drawn = pack("nodes.host.sampler_chunks"), []

    def wrapped(model, x, sigmas, *, inner, **kwargs):
        return inner(model, x, sigmas, **kwargs)

    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None):
        drawn.append(sampling.default_noise_sampler(x, seed=extra_args.get("seed"))(0, 0)[0, 0].item())
        return x

    x, sigmas = torch.zeros(1, 4), torch.linspace(1, 0, 6)
    for steps in ([], [1, 2, 3, 4]):
        arguments = (None, x, sigmas, {"seed": 3}, None, True, {"inner": sampler})
        chunks.sample_in_chunks(wrapped, lambda x, i: x, steps, *arguments)
    assert drawn[0] == drawn[1] and len(set(drawn)) == 5


def test_a_sampler_without_a_name(pack):
    """functools.partial makes such."""

    def drawing(model, x, sigmas, scale, extra_args=None, callback=None, disable=None, noise_sampler=None):
        for sigma, sigma_next in pairwise(sigmas):
            x = x + scale * noise_sampler(sigma, sigma_next)
        return x

    chunks, sampler = pack("nodes.host.sampler_chunks"), partial(drawing, scale=2.0)
    chunks.warn_of_memory(sampler)
    x, sigmas = torch.ones(1, 4), torch.linspace(1, 0, 4)
    whole, pieces = (
        chunks.sample_in_chunks(sampler, lambda x, i: x, steps, None, x, sigmas, {"seed": 3}, None, True, {})
        for steps in ([], [1, 2])
    )
    assert torch.equal(whole, pieces) and not torch.equal(whole, x)


def test_chained_guidances_share_the_noise(sample, graph):
    inputs = {"sampler_name": "euler_ancestral", "steps": STEPS}
    plain = sample(graph.loader(), graph.ksampler(("model", 0), **inputs))
    first, second = (graph.guidance(at, strength=TINY)["guidance"] for at in (("model", 0), ("first", 0)))
    chain = {"first": first, "second": second}
    assert torch.equal(sample(graph.loader(), graph.amf(), chain, graph.ksampler(("second", 0), **inputs)), plain)


def test_progress_is_seen_once(executor, graph, given):
    from protocol import BinaryEventTypes

    prompt = {**graph.loader(), **graph.amf(), **graph.guidance(), **graph.ksampler(steps=STEPS)}
    executor.forget()
    result = executor.run(prompt, want={"latent": ["sampled", 0]}, give=given)
    sampling = False
    seen, texts = [], []
    for event, data in result.events:
        if event == "executing":
            sampling = data.get("node") == "sampled"
        elif event == "progress" and sampling:
            seen.append((data["value"], data["max"]))
        elif event == BinaryEventTypes.TEXT:
            texts.append(data)
    # Current ComfyUI thins them out by the time between them; the last always comes.
    assert seen == sorted(set(seen)) and seen[-1] == (STEPS, STEPS) and {most for _, most in seen} == {STEPS}
    assert len(texts) == 6, "two inner steps at each of three guided steps"
    assert b"Motion guidance: step 1 of 3, 1 of 2: loss" in texts[0] and texts[0][4:].startswith(b"sampled")


def test_a_users_noise_sampler_is_kept(pack):
    chunks = pack("nodes.host.sampler_chunks")
    got = []

    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None, noise_sampler=None):
        got.append(noise_sampler)
        return x

    own, x, sigmas = object(), torch.zeros(1), torch.tensor([1.0, 0.5, 0.0])
    chunks.sample_in_chunks(sampler, lambda x, i: x, [1], None, x, sigmas, {}, None, True, {"noise_sampler": own})
    assert got == [own, own]
