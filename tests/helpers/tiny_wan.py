"""A tiny Wan 2.1 with random weights, in a file that the stock UNETLoader detects, and graphs that use it.

Weights loaded by the executor are inference tensors, as they are for a user; a model built in a test would not be.
"""

import importlib
import itertools
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

BLOCKS, DIM, HEADS = 4, 256, 2
LATENT = (1, 16, 3, 8, 8)  # token grid 3x4x4
FILE = "tiny_wan_random.safetensors"


def write_tiny_wan(file, seed=0, dtype=torch.float32, **sizes):
    """Random weights of a scale at which every part of the model matters. Needs the host's modules on the path."""
    import comfy.ops
    from comfy.ldm.wan.model import VaceWanModel, WanModel

    sizes = {"dim": DIM, "ffn_dim": 256, "num_heads": HEADS, "num_layers": BLOCKS, "cross_attn_norm": True, **sizes}
    kind = VaceWanModel if "vace_layers" in sizes else WanModel
    model = kind(**sizes, device="meta", operations=comfy.ops.disable_weight_init)
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, like in model.state_dict().items():
        random = torch.randn(like.shape, generator=generator)
        if "modulation" in name:
            weights[name] = random * 0.3
        elif name.endswith("bias"):
            weights[name] = random * 0.1
        elif "norm" in name:
            weights[name] = 1.5 + random * 0.2
        else:
            weights[name] = random / like[0].numel() ** 0.5
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.to(dtype) for name, weight in weights.items()}, file)


@pytest.fixture(scope="session")
def pack(host):
    """pack(name): a module of this pack as the nodes use it; `import vmt` in a test is another copy."""
    module = host.nodes.NODE_CLASS_MAPPINGS["VMT_MotionGuidance"].__module__
    root = module.removesuffix(".nodes.motion_guidance")
    return lambda name: importlib.import_module(f"{root}.{name}")


@pytest.fixture(scope="session")
def tiny_wan(host):
    """Name of the tiny model, as UNETLoader lists it."""
    write_tiny_wan(host.base / "models" / "diffusion_models" / FILE)
    return FILE


@pytest.fixture(scope="session")
def given():
    """What the graphs get from outside: a reference latent (VAE scale), prompts, an empty latent."""
    generator = torch.Generator().manual_seed(1)

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    positive, negative = randn(1, 6, 4096), randn(1, 6, 4096)
    return {
        "reference": {"samples": randn(*LATENT)},
        "positive": [[positive, {}]],
        "negative": [[negative, {}]],
        "empty": {"samples": torch.zeros(LATENT)},
    }


@pytest.fixture(scope="session")
def regions():
    """Two region masks (1, 64, 64): the whole frame, and its left half."""
    whole = torch.ones(1, 64, 64)
    left = whole.clone()
    left[:, :, 32:] = 0
    return whole, left


@pytest.fixture(scope="session")
def graph(tiny_wan):
    """Makers of API-form nodes with this pack's defaults, to be changed by keyword."""

    def node(class_type, **inputs):
        return {"class_type": class_type, "inputs": inputs}

    def loader(name=tiny_wan):
        return {"model": node("UNETLoader", unet_name=name, weight_dtype="default")}

    def amf(model=("model", 0), reference=("reference", 0), blocks="1, 2", extract=(), **inversion):
        inputs = {"mode": "noised_reference", "sigma": 0.5, "noise_seed": 0, "steps": 4, "rope": "pre", **inversion}
        inputs = {"model": list(model), "reference": list(reference), "blocks": blocks, **inputs}
        flow = {
            "features": ["inversion", 0], "span": 2, "radius": 1, "temperature": 1.0, "weight": "motion",
            "heads": "mean_logits", "target": "soft", "tile_rows": 1, "tile_columns": 1, "picture": "arrows",
            **dict(extract),
        }  # fmt: skip
        return {"inversion": node("VMT_WindowedInversion", **inputs), "amf": node("VMT_ExtractAMF", **flow)}

    def guidance(model=("model", 0), **settings):
        settings = {
            "amf": ["amf", 0], "strength": 0.05, "sigma_start": 0.99, "sigma_end": 0.85, "inner_steps": 2,
            "recompute_every": 1, **settings,
        }  # fmt: skip
        return {"guidance": node("VMT_MotionGuidance", model=list(model), **_set(settings))}

    def ksampler(model=("guidance", 0), **inputs):
        inputs = {"latent_image": ["empty", 0], "sampler_name": "euler", "scheduler": "simple", **inputs}
        inputs = {"seed": 3, "steps": 6, "cfg": 3.0, "denoise": 1.0, **inputs}
        prompts = {"positive": ["positive", 0], "negative": ["negative", 0]}
        return {"sampled": node("KSampler", model=list(model), **{**prompts, **inputs})}

    def _set(settings):
        return {name: value for name, value in settings.items() if value is not None}

    return SimpleNamespace(node=node, loader=loader, amf=amf, guidance=guidance, ksampler=ksampler)


_RUNS = itertools.count()


@pytest.fixture
def sample(executor, graph, given):
    """sample(nodes, **settings of Motion Guidance) -> latent: the guided graph, or any with a node "sampled"."""

    runs = _RUNS

    def run(*parts, want=("sampled", 0), give=None, on_event=None):
        prompt = {name: node for part in parts for name, node in part.items()}
        if (
            "sampled" in prompt
        ):  # an input that the node does not know: it is ignored, but nothing is taken from a cache
            inputs = {**prompt["sampled"]["inputs"], "test run": next(runs)}
            prompt["sampled"] = {**prompt["sampled"], "inputs": inputs}
        result = executor.run(prompt, want={"wanted": list(want)}, give={**given, **(give or {})}, on_event=on_event)
        wanted = result.got["wanted"]
        if want == ("sampled", 0):
            assert "sampled" in result.ran, "a cached result proves nothing"
        return wanted["samples"] if isinstance(wanted, dict) else wanted

    return run


@pytest.fixture
def plain(sample, graph):
    """plain(**inputs of KSampler) -> latent of the tiny model without any guidance."""
    return lambda **inputs: sample(graph.loader(), graph.ksampler(("model", 0), **inputs))


@pytest.fixture
def inside(host, given):
    """inside(model, look, sigma=.9, ...): look(model, x, sigmas, extra_args) in the place of the sampler function.

    Runs in inference mode and through the host's own sampling, as a sampler node does.
    """
    import comfy.samplers

    def run(model, look, sigma=0.9, latent=None, positive=None, **kwargs):
        results = []

        def sampler_function(model, x, sigmas, extra_args=None, **options):
            results.append(look(model, x, sigmas, extra_args))
            return x

        with torch.inference_mode():
            latent = given["reference"]["samples"] if latent is None else latent
            noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(7))
            guider = comfy.samplers.CFGGuider(model)
            guider.set_conds(positive or given["positive"], given["negative"])
            sampler = comfy.samplers.KSAMPLER(sampler_function)
            guider.sample(noise, latent, sampler, torch.tensor([sigma, 0.0]), disable_pbar=True, seed=5, **kwargs)
        return results[0]

    return run


@pytest.fixture
def model(sample, graph):
    """The tiny model as UNETLoader gives it, weights made in inference mode."""
    model = sample(graph.loader(), want=("model", 0))
    assert next(model.model.diffusion_model.parameters()).is_inference()
    return model


@pytest.fixture
def flow(sample, graph):
    """AMF of the random reference, on blocks 1 and 2."""
    return sample(graph.loader(), graph.amf(), want=("amf", 0))


@pytest.fixture
def other_wan(host):
    """other_wan(kind) -> file name of another tiny model."""
    sizes = {
        "vace": {"vace_layers": 2, "vace_in_dim": 96, "model_type": "vace"},
        "i2v": {"model_type": "i2v", "in_dim": 36},
        "shallow": {"num_layers": 3},
        "ref_conv": {"in_dim_ref_conv": 16},
        "5b": {"in_dim": 48, "out_dim": 48},
    }

    def write(kind):
        if kind == "bf16":
            file = host.base / "models" / "diffusion_models" / "tiny_bf16.safetensors"
            write_tiny_wan(file, dtype=torch.bfloat16)
            return file.name
        file = host.base / "models" / "diffusion_models" / f"tiny_{kind}.safetensors"
        if not file.exists():
            write_tiny_wan(file, **sizes[kind])
        return file.name

    return write


@pytest.fixture(scope="session")
def samplers(graph):
    """samplers[name](model, **inputs): the three stock ways to sample, as nodes with "sampled" the last."""

    def advanced(model, add_noise="enable", **inputs):
        steps = {"noise_seed": 3, "start_at_step": 0, "end_at_step": 10000, "return_with_leftover_noise": "disable"}
        nodes = graph.ksampler(model, add_noise=add_noise, **{**steps, **inputs})
        nodes["sampled"]["class_type"] = "KSamplerAdvanced"
        for name in ("seed", "denoise"):
            del nodes["sampled"]["inputs"][name]
        return nodes

    def custom(model, sampler_name="euler"):
        node = graph.node
        return {
            "noise": node("RandomNoise", noise_seed=3),
            "guider": node("CFGGuider", model=list(model), positive=["positive", 0], negative=["negative", 0], cfg=3.0),
            "sampler": node("KSamplerSelect", sampler_name=sampler_name),
            "sigmas": node("BasicScheduler", model=list(model), scheduler="simple", steps=6, denoise=1.0),
            "sampled": node(
                "SamplerCustomAdvanced", noise=["noise", 0], guider=["guider", 0], sampler=["sampler", 0],
                sigmas=["sigmas", 0], latent_image=["empty", 0],
            ),
        }  # fmt: skip

    def with_guidance_inside(model, amf=("amf", 0), strength=0.05, **inputs):
        settings = graph.guidance(model, amf=amf and list(amf), strength=strength)["guidance"]["inputs"]
        nodes = graph.ksampler(**{**settings, **inputs})
        nodes["sampled"]["class_type"] = "VMT_MotionGuidanceSampler"
        return nodes

    return {
        "KSampler": graph.ksampler, "KSamplerAdvanced": advanced, "SamplerCustomAdvanced": custom,
        "VMT_MotionGuidanceSampler": with_guidance_inside,
    }  # fmt: skip


@pytest.fixture
def write_tiny(host):
    """write_tiny(file): the tiny model into a file."""
    return write_tiny_wan
