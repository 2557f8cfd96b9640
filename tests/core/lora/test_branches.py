"""Low-rank updates of some heads."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vmt.errors import InputError
from vmt.lora.branches import PARTS, BranchLora

HEADS = torch.tensor([[True, False, True], [False, False, True]])
CHANNELS, PER_HEAD = 12, 4


def filled(heads=HEADS, rank=2, **kwargs):
    branch = BranchLora(heads, CHANNELS, rank, **kwargs)
    for number, part in enumerate(branch.parts.values()):
        nn.init.normal_(part.up, generator=torch.Generator().manual_seed(number))
    return branch


class TestUpdate:
    @pytest.mark.parametrize("part", PARTS)
    def test_equals_layers_split_by_head(self, part):
        """The published form: a layer of the branch's heads alone, with a LoRA of its own, and one of the rest."""
        torch.manual_seed(0)
        branch, base, x = filled(), nn.Linear(CHANNELS, CHANNELS), torch.randn(5, CHANNELS)
        lora = branch.parts[f"0_{part}"]
        own = torch.tensor([0, 1, 2, 3, 8, 9, 10, 11])
        rest = torch.tensor([4, 5, 6, 7])
        split = torch.empty(5, CHANNELS)
        if part == "o":  # the layers take the heads' channels in, and their results are added
            split = F.linear(x[:, own], base.weight[:, own] + lora.up @ lora.down) + F.linear(
                x[:, rest], base.weight[:, rest], base.bias
            )
        else:
            split[:, own] = F.linear(x, base.weight[own] + lora.up @ lora.down, base.bias[own])
            split[:, rest] = F.linear(x, base.weight[rest], base.bias[rest])
        torch.testing.assert_close(branch.add_to(base(x), x, 0, part), split, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("part", PARTS)
    def test_a_new_branch_changes_nothing_bit_for_bit(self, part):
        branch, x, y = BranchLora(HEADS, CHANNELS, 2), torch.randn(5, CHANNELS), torch.randn(5, CHANNELS)
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            assert torch.equal(branch.add_to(y.to(dtype), x.to(dtype), 0, part), y.to(dtype))

    def test_other_heads_are_left_alone(self):
        branch, x, y = filled(), torch.randn(5, CHANNELS), torch.randn(5, CHANNELS)
        change = branch.add_to(y, x, 0, "q") - y
        assert (change[:, 4:8] == 0).all() and (change[:, :4] != 0).any() and (change[:, 8:] != 0).any()
        other = x.clone()
        other[:, 4:8] += 1
        assert torch.equal(branch.add_to(y, x, 0, "o"), branch.add_to(y, other, 0, "o"))

    def test_strength(self):
        branch, x, y = filled(), torch.randn(5, CHANNELS), torch.randn(5, CHANNELS)
        whole = branch.add_to(y, x, 0, "v") - y
        branch.strength = 0.25
        torch.testing.assert_close(branch.add_to(y, x, 0, "v") - y, 0.25 * whole)
        branch.strength = 0.0
        assert branch.add_to(y, x, 0, "v") is y

    @pytest.mark.parametrize("part", PARTS)
    def test_gradient(self, part):
        branch = filled().double()
        x = torch.randn(3, CHANNELS, dtype=torch.float64, requires_grad=True)
        y = torch.randn(3, CHANNELS, dtype=torch.float64, requires_grad=True)
        lora = branch.parts[f"0_{part}"]
        assert torch.autograd.gradcheck(lambda x, y, *_: branch.add_to(y, x, 0, part), (x, y, lora.down, lora.up))

    def test_float16_inputs_give_gradients_that_do_not_vanish(self):
        branch = filled()
        out = branch.add_to(torch.zeros(3, CHANNELS).half(), 1e-3 * torch.randn(3, CHANNELS).half(), 0, "q")
        (1e-4 * out.float()).sum().backward()
        assert (branch.parts["0_q"].down.grad != 0).all() and out.dtype == torch.float16

    def test_blocks_without_heads_have_no_part(self):
        heads = torch.tensor([[True, True, True], [False, False, False]])
        assert set(BranchLora(heads, CHANNELS, 2).parts) == {f"0_{part}" for part in PARTS}

    def test_repeats_by_seed_and_leaves_the_generator(self):
        torch.manual_seed(5)
        state = torch.get_rng_state()
        first, again, other = (BranchLora(HEADS, CHANNELS, 2, seed=s).parts["0_k"].down for s in (1, 1, 2))
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("part", PARTS)
def test_folded_is_the_same_update(part):
    branch, x, y = filled(), torch.randn(5, CHANNELS), torch.zeros(5, CHANNELS)
    down, up = branch.parts[f"0_{part}"].folded()
    assert down.shape == (2, CHANNELS) and up.shape == (CHANNELS, 2)
    torch.testing.assert_close(F.linear(F.linear(x, down), up), branch.add_to(y, x, 0, part))


@pytest.mark.parametrize("rank", [0, -1, 5, 64])
def test_refuses_a_rank_that_the_heads_do_not_have(rank):
    with pytest.raises(InputError, match=f"Rank {rank} .* 1 to 4 are allowed"):
        BranchLora(HEADS, CHANNELS, rank)
