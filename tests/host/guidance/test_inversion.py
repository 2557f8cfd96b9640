"""Windowed Inversion: what it hands on, and that its latent resumes exactly."""

import pytest
import torch

from vmt.launch.run_result import PromptInterrupted


@pytest.fixture
def invert(sample, graph):
    def run(want, give=None, **settings):
        return sample(graph.loader(), graph.amf(**settings), want=("inversion", want), give=give)

    return run


def test_features_fit_the_reference(invert, given, model):
    features = invert(0)
    assert str(features.grid) == "3x4x4" and features.blocks == (1, 2) and features.rope == "pre"
    assert features.sigma == 0.5 and features.model == "WanModel, 4 blocks, 2 heads of 128"
    for held in (*features.queries.values(), *features.keys.values()):
        assert held.shape == (1, 48, 2, 128) and held.dtype == torch.float32 and held.device.type == "cpu"
    clean = model.model.latent_format.process_in(given["reference"]["samples"])
    assert torch.equal(features.latent, clean)
    for match in features.matches.values():
        assert match.match.shape == (3, 16), "frame pairs (0,1), (0,2), (1,2)"


def test_auto_is_about_the_middle(invert, pack):
    assert invert(0, blocks="auto").blocks == (1,)
    auto = pack("nodes.host.model_check").auto_block
    assert [auto(n) for n in (1, 2, 4, 6, 8, 30, 40)] == [0, 0, 1, 2, 3, 14, 14]


def test_noised_reference_is_noise_and_reference(invert, given, model, pack):
    """The latent is x / (1 - sigma), in the VAE's scale: the host's samplers multiply it by 1 - sigma again."""
    clean = model.model.latent_format.process_in(given["reference"]["samples"])
    noise = pack("vmt.flow_matching").seeded_noise(clean.shape, 7)
    inverted = model.model.latent_format.process_in(invert(1, sigma=0.6, noise_seed=7))
    assert (inverted * 0.4 - (0.4 * clean + 0.6 * noise)).abs().max() < 1e-5


@pytest.mark.parametrize("mode", ["noised_reference", "ode_inversion"])
def test_ksampler_advanced_resumes_from_the_latent(sample, graph, samplers, inside, given, mode):
    """Without added noise, KSamplerAdvanced starts at exactly the latent the model was shown."""
    import comfy.samplers

    model = sample(graph.loader(), want=("model", 0))
    steps, start = 6, 3
    sigma = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", steps)[start].item()
    nodes = samplers["KSamplerAdvanced"](
        ("seen", 0), add_noise="disable", start_at_step=start, latent_image=["inversion", 1], cfg=1.0, steps=steps
    )
    started = []

    def note(executor, x, t, *args, **kwargs):
        started.append((x.clone(), t.clone()))
        return executor(x, t, *args, **kwargs)

    other = model.clone()
    other.add_wrapper("apply_model", note)
    # The caption is the prompt, so both see the same model.
    inversion = graph.amf(mode=mode, sigma=sigma, steps=3, positive=["positive", 0], model=("seen", 0))
    sample(inversion, nodes, give={"seen": other})
    num_inversion = {"noised_reference": 2, "ode_inversion": 5}[mode]  # the last one at half size
    assert len(started) == num_inversion + steps - start
    (last_of_inversion, level), _, (first_of_sampling, same_level) = started[num_inversion - 2 : num_inversion + 1]
    assert level.tolist() == same_level.tolist() == [pytest.approx(sigma)]
    assert (last_of_inversion - first_of_sampling).abs().max() < 2e-5 * last_of_inversion.abs().max()


def test_ode_inversion_comes_back(sample, graph, samplers, given):
    """Inverted with many steps and sampled with as many, without CFG, the reference returns; noise does not."""
    import comfy.samplers

    model = sample(graph.loader(), want=("model", 0))
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", 100)
    start = int((sigmas - 0.5).abs().argmin())
    back = {}
    for mode in ("ode_inversion", "noised_reference"):
        inversion = graph.amf(mode=mode, sigma=sigmas[start].item(), steps=40, positive=["positive", 0])
        nodes = samplers["KSamplerAdvanced"](
            ("model", 0), add_noise="disable", start_at_step=start, latent_image=["inversion", 1], cfg=1.0, steps=100
        )
        back[mode] = sample(graph.loader(), inversion, nodes)
    clean = given["reference"]["samples"]
    errors = {mode: ((latent - clean).norm() / clean.norm()).item() for mode, latent in back.items()}
    assert errors["ode_inversion"] < 0.3 * errors["noised_reference"], errors


def test_one_partial_pass_and_kept_between_runs(executor, graph, given, model):
    """A new seed for the result costs no pass over the reference."""
    ran = []
    handles = [
        block.register_forward_pre_hook(lambda module, args, i=i: ran.append(i))
        for i, block in enumerate(model.model.diffusion_model.blocks)
    ]
    try:
        first = graph.loader() | graph.amf(noise_seed=99)
        executor.run(first, want={"amf": ["amf", 0]}, give=given)
        assert ran == 2 * [0, 1, 2], "blocks 1 and 2 are looked at, in both sizes; block 3 is not needed"
        ran.clear()
        result = executor.run(first | graph.guidance() | graph.ksampler(seed=8), want={"x": ["sampled", 0]}, give=given)
        result = executor.run(first | graph.guidance() | graph.ksampler(seed=9), want={"x": ["sampled", 0]}, give=given)
        assert {"inversion", "amf", "guidance"} <= result.cached and "sampled" in result.ran
    finally:
        for handle in handles:
            handle.remove()


def test_the_model_of_motion_guidance_can_be_inverted_with(sample, graph):
    """A guided model on the MODEL line neither guides the inversion nor demands the size of its own reference."""
    longer = {"longer": {"samples": torch.randn(1, 16, 5, 8, 8, generator=torch.Generator().manual_seed(3))}}
    plain = sample(graph.loader(), graph.amf(reference=("longer", 0)), want=("inversion", 0), give=longer)
    second = graph.amf(model=("guidance", 0), reference=("longer", 0))["inversion"]
    parts = graph.loader(), graph.amf(), graph.guidance(), {"again": second}
    features = sample(*parts, want=("again", 0), give=longer)
    assert all(torch.equal(features.queries[block], plain.queries[block]) for block in plain.blocks)


def test_without_a_caption_text_is_zero(invert):
    zeros = [[torch.zeros(1, 1, 4096), {}]]
    assert torch.equal(invert(0).queries[2], invert(0, give={"c": zeros}, positive=["c", 0]).queries[2])


def test_interrupt_in_ode_inversion(sample, graph, host):
    def interrupt(event, data):
        if event == "progress" and data["value"] == 1:
            host.nodes.interrupt_processing()

    with pytest.raises(PromptInterrupted):
        sample(graph.loader(), graph.amf(mode="ode_inversion", steps=10), want=("inversion", 0), on_event=interrupt)


def test_a_mask_is_not_handed_on(invert, given):
    masked = {**given["reference"], "noise_mask": torch.ones(1, 8, 8)}
    plain = invert(1)
    assert torch.equal(invert(1, give={"reference": masked}), plain)
