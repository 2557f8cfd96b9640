"""A run handed over from one model to another, as Wan 2.2 14B has two: each is guided in its own part of it."""

import pytest
import torch

HANDED_OVER, STEPS = 3, 6


@pytest.fixture
def handed_over(sample, graph, samplers, other_wan):
    """handed_over(first, second): strengths of the preset "free" on the two models."""

    def run(first, second):
        nodes = {**graph.loader(), **graph.amf()}
        nodes["second model"] = graph.loader(other_wan("shallow"))["model"]
        for name, model, strength in (("first", "model", first), ("second", "second model", second)):
            guidance = graph.guidance((model, 0), preset="free", strength=strength)["guidance"]
            nodes[f"{name} guided"] = guidance
        advanced = samplers["KSamplerAdvanced"]
        begin = {"end_at_step": HANDED_OVER, "return_with_leftover_noise": "enable"}
        nodes["begun"] = advanced(("first guided", 0), **begin)["sampled"]
        end = {"start_at_step": HANDED_OVER, "add_noise": "disable", "latent_image": ["begun", 0]}
        nodes |= advanced(("second guided", 0), **end)
        return sample(nodes)

    return run


def test_each_part_is_guided_and_without_strength_is_plain(handed_over, caplog):
    caplog.set_level("INFO")
    results = {strengths: handed_over(*strengths) for strengths in ((0.0, 0.0), (0.04, 0.0), (0.0, 0.04))}
    caplog.clear()
    results["both"] = handed_over(0.04, 0.04)
    told = [line for line in caplog.text.splitlines() if "noise level" in line and "loss" in line]
    assert len(told) == STEPS - 2, "all but the first of each part, before which nothing was predicted"
    results = list(results.values())
    assert all(torch.isfinite(latent).all() for latent in results)
    assert all(not torch.equal(a, b) for i, a in enumerate(results) for b in results[:i])
