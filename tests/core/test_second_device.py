"""What the core is given on another device it computes there, whatever of the reference lies on the CPU."""

import pytest
import torch
from second_device import THERE, is_there

from vmt.features import MotionFeatures
from vmt.guidance.config import GuidanceConfig
from vmt.guidance.frame_difference_pull import pull_frame_differences
from vmt.guidance.optimize_latent import optimize_latent
from vmt.half_size import half_latent
from vmt.lora.branches import BranchLora
from vmt.lora.losses import direction_loss
from vmt.signals.attention_flow import AttentionFlowConfig, attention_flow_loss, extract
from vmt.signals.corresponding_windows import corresponding_window_loss
from vmt.signals.latent_flow import extract_latent_flow, latent_flow_loss
from vmt.token_grid import TokenGrid

GRID = TokenGrid(3, 6, 6)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def features():
    queries, keys = ({1: drawn(1, GRID.num_tokens, 2, 8, seed=seed)} for seed in (1, 2))
    return MotionFeatures(GRID, queries, keys, rope="pre", sigma=0.5, latent=drawn(1, 16, 3, 12, 12), model="")


def test_it_refuses_what_a_gpu_refuses(second_device):
    here, there = torch.ones(1, 1), second_device.there(torch.ones(1, 1))
    with pytest.raises(RuntimeError, match="two devices"):
        here + there
    with pytest.raises(RuntimeError, match="indices"):
        here[there.long()]
    assert is_there(there + torch.tensor(2.0)) and is_there(there[here.long() * 0]) and not is_there(there.to(here))
    assert there.device == THERE and not is_there(there.cpu()) and is_there(here.to(THERE)) and not is_there(here)


def test_half_size(second_device):
    assert is_there(half_latent(second_device.there(drawn(1, 16, 3, 12, 12)), torch.tensor(0.5))[0])


@pytest.mark.parametrize("mask", [None, torch.rand(6, 6)], ids=["", "mask"])
def test_latent_flow(second_device, features, mask):
    flow = extract_latent_flow(features.latent, GRID, AttentionFlowConfig(), THERE)
    x = second_device.there(drawn(1, 16, 3, 12, 12, seed=3))
    moved = optimize_latent(x, lambda latent: latent_flow_loss(flow, latent, mask), GuidanceConfig(strength=0.1))
    assert is_there(moved) and not torch.equal(moved, x)


@pytest.mark.parametrize("mask", [None, torch.rand(6, 6)], ids=["", "mask"])
@pytest.mark.parametrize("centre", ["own", "match", "trusted"])
@pytest.mark.parametrize("more", [{}, {"heads": "mean_flow"}, {"radius": None}, {"target": "argmax"}], ids=str)
def test_attention_flow(second_device, features, mask, centre, more):
    flow = extract(features, AttentionFlowConfig(centre=centre, **more), THERE)
    weights = second_device.there(drawn(16, 8))

    def loss(latent):
        seen = {1: (latent.flatten(2).transpose(1, 2) @ weights).unflatten(-1, (2, 4))}
        return attention_flow_loss(flow, seen, seen, mask, both_ways=True) + corresponding_window_loss(flow, seen)

    x = second_device.there(drawn(1, 16, 3, 6, 6))
    moved = optimize_latent(x, loss, GuidanceConfig(strength=0.1))
    assert is_there(moved) and not torch.equal(moved, x)


def test_frame_difference_pull(second_device):
    assert is_there(pull_frame_differences(second_device.there(drawn(1, 16, 3, 4, 4)), drawn(1, 16, 3, 4, 4), 0.5))


def test_lora(second_device):
    branch = BranchLora(torch.tensor([[True, False]]), 8, 2).to(THERE)
    x = second_device.there(drawn(1, 5, 8))
    for part in "qo":
        assert is_there(branch.add_to(x, x, 0, part))
    assert is_there(
        direction_loss(second_device.there(drawn(1, 4, 3, 2, 2)), second_device.there(drawn(1, 4, 3, 2, 2)), "signed")
    )
