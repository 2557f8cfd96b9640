"""Guidance through what users have on the MODEL line: LoRAs, other weight formats, shifts, other conditionings."""

import pytest
import torch
from safetensors.torch import save_file


def differ(a, b):
    return torch.isfinite(a).all() and (a - b).abs().max() > 0.01


@pytest.fixture
def compare(sample, graph):
    """compare(nodes before, link) -> the plain and the guided result on that MODEL line."""

    def run(*parts, model, **inputs):
        plain = sample(*parts, graph.ksampler(model, **inputs))
        amf = graph.amf(model=model)
        return plain, sample(*parts, amf, graph.guidance(model), graph.ksampler(**inputs))

    return run


@pytest.fixture
def lora(host):
    generator = torch.Generator().manual_seed(4)
    weights = {}
    for block in range(4):
        name = f"diffusion_model.blocks.{block}.self_attn.q"
        weights[f"{name}.lora_down.weight"] = torch.randn(4, 256, generator=generator)
        weights[f"{name}.lora_up.weight"] = torch.randn(256, 4, generator=generator) * 0.05
    file = host.base / "models" / "loras" / "tiny_lora.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, file)
    return file.name


def test_lora(compare, sample, graph, lora):
    plain, guided = compare(graph.loader(), model=("model", 0))
    node = {"lora": graph.node("LoraLoaderModelOnly", model=["model", 0], lora_name=lora, strength_model=1.0)}
    with_lora = compare(graph.loader(), node, model=("lora", 0))
    assert differ(*with_lora) and differ(with_lora[0], plain) and differ(with_lora[1], guided)
    # And the model without it is as before.
    assert torch.equal(sample(graph.loader(), graph.ksampler(("model", 0))), plain)


@pytest.mark.parametrize("kind", ["fp8_e4m3fn", "fp8_e5m2"])
def test_fp8_weights(compare, graph, tiny_wan, kind):
    loader = {"model": graph.node("UNETLoader", unet_name=tiny_wan, weight_dtype=kind)}
    assert differ(*compare(loader, model=("model", 0)))


def test_bf16_file(compare, graph, other_wan):
    assert differ(*compare(graph.loader(other_wan("bf16")), model=("model", 0)))


def test_shift(compare, graph):
    shift = {"shift": graph.node("ModelSamplingSD3", model=["model", 0], shift=12.0)}
    assert differ(*compare(graph.loader(), shift, model=("shift", 0)))


def test_shift_behind_guidance(sample, graph):
    """Nodes that come after Motion Guidance keep it: it is guided by noise level, whatever the schedule."""
    nodes = {"shift": graph.node("ModelSamplingSD3", model=["guidance", 0], shift=8.0)}
    parts = graph.loader(), graph.amf(), graph.guidance()
    assert torch.equal(sample(*parts, nodes, graph.ksampler(("shift", 0))), sample(*parts, graph.ksampler()))


def test_the_cache_node_of_the_host(compare, graph):
    """EasyCache may skip passes of plain steps, never the guided pass."""
    node = graph.node("EasyCache", model=["model", 0], reuse_threshold=0.2, start_percent=0.0, end_percent=1.0,
                      verbose=False)  # fmt: skip
    assert differ(*compare(graph.loader(), {"cache": node}, model=("cache", 0)))


def test_a_mask_on_a_conditioning_is_fine(sample, graph, given):
    text, other = given["positive"][0][0], given["negative"][0][0]
    left = torch.zeros(1, 64, 64)
    left[..., :32] = 1
    prompts = [[text, {"mask": left, "mask_strength": 1.0}], [other, {"mask": 1 - left, "mask_strength": 1.0}]]
    plain = sample(graph.loader(), graph.ksampler(("model", 0)), give={"positive": prompts})
    guided = sample(graph.loader(), graph.amf(), graph.guidance(), graph.ksampler(), give={"positive": prompts})
    assert differ(guided, plain)


def test_img2img(compare, graph):
    assert differ(*compare(graph.loader(), model=("model", 0), latent_image=["reference", 0], denoise=0.9))


def test_basic_guider(sample, graph, samplers):
    """A guider with a positive conditioning only."""
    nodes = samplers["SamplerCustomAdvanced"](("guidance", 0))
    nodes["guider"] = graph.node("BasicGuider", model=["guidance", 0], conditioning=["positive", 0])
    plain = {**nodes, "guider": graph.node("BasicGuider", model=["model", 0], conditioning=["positive", 0])}
    plain["sigmas"] = samplers["SamplerCustomAdvanced"](("model", 0))["sigmas"]
    assert differ(sample(graph.loader(), graph.amf(), graph.guidance(), nodes), sample(graph.loader(), plain))
