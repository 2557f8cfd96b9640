"""Operations counted without a model, against what they must be by hand and what a real model does."""

from contextlib import ExitStack

import pytest
import torch

from vmt.bench.compute import Compute
from vmt.bench.cost import SHAPES
from vmt.bench.fake_wan import CHECKPOINTS, META, RUNS, Cost, FakeWan, LiveBytes, Operations
from vmt.demo.wan_dit import WanDiT, WanShape
from vmt.signals.attention_flow import AttentionFlowConfig

WIDTH, FFN, TEXT = 256, 640, 24
LATENT = (3, 16, 16)
TOKENS = 3 * 8 * 8
FLOW = AttentionFlowConfig()


def small(blocks=3, latent=LATENT):
    return FakeWan(WanShape(WIDTH, FFN, blocks), latent, TEXT)


def linears(tokens=TOKENS):
    """Of one block on the video's tokens: 4 of self-attention, 2 of cross-attention, 2 of the feed-forward."""
    return 2 * tokens * (6 * WIDTH**2 + 2 * WIDTH * FFN)


def attention(tokens=TOKENS):
    return 4 * tokens * (tokens + TEXT) * WIDTH


ON_TEXT = 2 * TEXT * 2 * WIDTH**2  # k and v of the prompt
BLOCK = linears() + attention() + ON_TEXT


def test_a_block_costs_what_it_must():
    three, two = small(3).forward(), small(2).forward()
    assert three.flops - two.flops == BLOCK
    assert (three.forwards, three.backwards) == (1, 0)


def test_a_whole_pass_is_that_of_a_real_model():
    torch.manual_seed(0)
    dit = WanDiT(WanShape(WIDTH, FFN, 3)).eval().requires_grad_(False)
    with torch.inference_mode(), Compute() as real:
        dit(torch.randn(1, 16, *LATENT), torch.tensor([500.0]), torch.randn(1, TEXT, 4096))
    assert small().forward().flops == real.flops


@pytest.mark.parametrize(("name", "tera"), [("wan2.1-1.3b", 283.0), ("wan2.1-14b", 1678.4)])
def test_published_sizes(name, tera):
    """At 480x832 and 81 frames, by the formula 2 x multiply-adds over all blocks."""
    wan = FakeWan(SHAPES[name], (21, 60, 104))
    assert wan.forward().flops / 1e12 == pytest.approx(tera, rel=1e-3)


def test_a_gradient_through_one_more_block():
    """Forward, and backward to its input: a product for each on the video's tokens, 2.5 times the attention."""
    wan = small()
    one, two = (wan.gradient((block,), FLOW) for block in (1, 2))
    assert two.flops - one.flops == BLOCK + linears() + 10 * attention() // 4
    assert (two.forwards, two.backwards) == (1, pytest.approx(2 / 3))  # the tapped block is begun


def test_what_is_computed_again():
    wan = small()
    kept = {name: wan.gradient((2,), FLOW, name) for name in reversed(CHECKPOINTS)}
    none, blocks = kept["none"].flops, 2
    assert kept["block"].flops - none == blocks * BLOCK
    assert kept["selective"].flops - none == blocks * (BLOCK - attention())
    assert kept["nested"].flops - kept["block"].flops == blocks * 4 * TOKENS**2 * WIDTH  # of self-attention
    assert kept["none"].forwards < kept["block"].forwards == kept["selective"].forwards
    assert len({cost.backwards for cost in kept.values()}) == 1


def test_what_is_forgotten_takes_no_memory():
    wan = FakeWan(WanShape(WIDTH, FFN, 8), (5, 32, 32))
    peak = {name: wan.gradient((7,), AttentionFlowConfig(span=1), name).peak_bytes for name in CHECKPOINTS[:3]}
    assert peak["block"] < peak["selective"] < 0.5 * peak["none"]
    assert wan.forward().peak_bytes < peak["block"]


@pytest.mark.parametrize("kept", ["none", "block"])
def test_memory_is_that_of_real_tensors(kept):
    """Also while operations are counted: with PyTorch's own counter it is twice as much where blocks are forgotten."""

    def peak(device, *modes):
        with ExitStack() as entered:
            for mode in (device, *modes):
                entered.enter_context(mode)
            dit = WanDiT(WanShape(WIDTH, FFN, 3)).requires_grad_(False)
            latent, text = torch.zeros(1, 16, *LATENT, requires_grad=True), torch.zeros(1, TEXT, 4096)
            live = entered.enter_context(LiveBytes())
            first, *given, _ = dit.embed(latent, torch.zeros(1), text)
            tokens = first
            for block in dit.blocks:
                tokens = RUNS[kept](block, tokens, *given)
            torch.autograd.grad(tokens.square().mean(), first)
            return live.peak

    real = peak(torch.device("cpu"))
    assert peak(META, Operations()) == peak(META) == real


def test_a_deeper_run_costs_more_than_the_loss_needs():
    wan = small(6)
    taken_again = 2 * TOKENS * 2 * WIDTH**2  # q and k of the tapped block, which then runs as a whole
    assert wan.cut((1,), through=4).flops - wan.cut((1,)).flops == 3 * BLOCK + taken_again
    further = wan.gradient((1,), FLOW, through=4)
    assert (further.forwards, further.backwards) == (pytest.approx(5 / 6), pytest.approx(2 / 6))


def test_the_peak_of_a_sum_is_the_larger_one():
    total = Cost(10, 1, 0, 5) + Cost(1, 0.5, 0.5, 7) * 3
    assert total == Cost(13, 2.5, 1.5, 7)
    assert Cost(1, 1, 1, 7) * 0 == Cost()


def test_a_lora_that_stands_costs_two_products_more_forward_and_two_back():
    """Of one block: from and to the channels of one of its two heads, in q, k, v and the output projection."""
    rank = 8
    products = 4 * 2 * TOKENS * rank * (WIDTH + WIDTH // 2)
    steps = {
        (blocks, beside): small(blocks).tuning_step(1, rank, "none", (1, rank) if beside else None).flops
        for blocks in (2, 3)
        for beside in (False, True)
    }
    more = {blocks: steps[blocks, True] - steps[blocks, False] for blocks in (2, 3)}
    assert more[3] - more[2] == 2 * products
    looks = [small().tuning_look(1, rank, beside).flops for beside in (None, (1, rank))]
    assert looks[1] - looks[0] == looks[0] - small().forward().flops == 3 * products


def test_half_the_size_is_a_pass_on_a_fourth_of_the_tokens():
    """Linears fall to a fourth, self-attention to a sixteenth, what is done on the prompt stays."""
    quarter = small(latent=(3, 8, 8))
    whole, half = small().cut((2,)), small().cut((2,), half=True)
    assert half.flops == quarter.cut((2,)).flops < whole.flops / 3
    gradient, smaller = small().gradient((2,), FLOW), small().gradient((2,), FLOW, half=True)
    assert smaller.flops < gradient.flops / 3 and smaller.peak_bytes < 0.5 * gradient.peak_bytes
    assert (smaller.forwards, smaller.backwards) == (gradient.forwards, gradient.backwards)
