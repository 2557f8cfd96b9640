"""Tuning, and a motion LoRA in use, where the model is on another device than what nodes hand on."""

import pytest
import torch
from second_device import is_there


@pytest.fixture
def tuned_there(executor, given, clip, tuning, on_second_device, no_files):
    """tuned_there(**options) -> what comes of a short tuning on the second device."""

    def run(**options):
        want = {name: ["tuned", i] for i, name in enumerate(("model", "motion", "appearance", "loss_map", "heads"))}
        nodes = {**on_second_device, **tuning(options=options, appearance_strength=0.5)}
        return executor.run(nodes, want=want, give={**given, "clip": clip}).got

    return run


@pytest.mark.parametrize("options", [{"latent_flow": True}, {"heads": "all"}, {"half_steps": 0, "sparse": "frames"}])
def test_tuned_and_used(tuned_there, sample, graph, load, on_second_device, options):
    got = tuned_there(**options)
    assert got["motion"] and not any(map(is_there, got["motion"].values()))
    out = sample(on_second_device, graph.ksampler(("out", 0)), give={"out": got["model"]})
    loaded = load("test_motion_00001_.safetensors", appearance_lora="test_appearance_00001_.safetensors",
                  appearance_strength=0.5)  # fmt: skip
    again = sample(on_second_device, loaded, graph.ksampler(("lora", 0)))
    assert torch.isfinite(out).all() and not is_there(out) and torch.equal(out, again)


def test_guided_beside_it(tuned_there, sample, graph, load, on_second_device):
    tuned_there()
    nodes = load("test_motion_00001_.safetensors"), graph.amf(), graph.guidance(model=("lora", 0), preset="quality")
    assert torch.isfinite(sample(on_second_device, *nodes, graph.ksampler())).all()
