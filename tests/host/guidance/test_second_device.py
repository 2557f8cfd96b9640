"""Guidance where the model is on another device than what nodes hand on: a GPU's refusals, on any machine."""

import pytest
import torch
from second_device import THERE, is_there

RARE = {"update": "rms", "strength_decay": 0.0, "loss_floor": 0.0, "blocks": "all", "checkpoint": "none"}


@pytest.fixture
def followed(sample, graph, on_second_device):
    """followed(nodes, give) samples on the second device what the nodes before "sampled" guide, and plain beside it."""

    def run(*nodes, give=None, **sampler):
        plain = sample(on_second_device, graph.ksampler(("model", 0), **sampler), give=give)
        guided = sample(on_second_device, *nodes, graph.ksampler(**sampler), give=give)
        assert not is_there(guided) and torch.isfinite(guided).all() and not torch.equal(guided, plain)

    return run


def test_the_model_is_there(sample, on_second_device):
    assert sample(on_second_device, want=("model", 0)).load_device == THERE


@pytest.mark.parametrize("preset", ["free", "balanced", "quality", "custom"])
def test_presets(followed, graph, preset):
    followed(graph.amf(), graph.guidance(preset=preset))


@pytest.mark.parametrize(
    "options",
    [{"checkpoint": "selective"}, {"checkpoint": "block"}, {"update": "adam"}, {"update": "sign"},
     {"window_share": 0.3}, {"size": "half"}, {"look_ahead": "off"}],
    ids=str,
)  # fmt: skip
def test_options(followed, graph, options):
    custom = graph.guidance(options=["options", 0], preset="custom")
    followed(graph.amf(), {"options": graph.node("VMT_GuidanceOptions", **{**RARE, **options})}, custom)


@pytest.mark.parametrize("extract", [{"heads": "mean_flow"}, {"target": "argmax"}, {"radius": 0}, {"weight": "none"}])
def test_extracts(followed, graph, extract):
    followed(graph.amf(extract=extract), graph.guidance(preset="quality"))


@pytest.mark.parametrize("inversion", [{"mode": "ode_inversion"}, {"rope": "post"}], ids=str)
def test_inversions(followed, graph, inversion):
    followed(graph.amf(**inversion), graph.guidance(preset="quality"))


@pytest.mark.parametrize("preset", ["free", "balanced", "quality"])
def test_region_and_noise_mask(followed, graph, given, regions, preset):
    mask = torch.ones(1, 1, 3, 8, 8)
    mask[:, :, 0] = 0
    give = {"region": regions[1], "empty": {**given["empty"], "noise_mask": mask}}
    followed(graph.amf(), graph.guidance(preset=preset, region=["region", 0]), give=give)


def test_two_videos(followed, graph, given):
    followed(graph.amf(), graph.guidance(preset="quality"), give={"empty": {"samples": torch.zeros(2, 16, 3, 8, 8)}})


@pytest.mark.parametrize("name", ["heun", "dpmpp_2m", "uni_pc"])
def test_samplers(followed, graph, name):
    followed(graph.amf(), graph.guidance(preset="balanced"), sampler_name=name)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("VMT_FrameDifferencePull", {"strength": 0.5, "softness": 0.1, "sigma_start": 1.0, "sigma_end": 0.0}),
     ("VMT_KeyValueInjection", {"sigma_end": 0.5})],
)  # fmt: skip
def test_nodes_without_a_gradient(followed, graph, kind, settings):
    followed({"guidance": graph.node(kind, model=["model", 0], reference=["reference", 0], **settings)})
