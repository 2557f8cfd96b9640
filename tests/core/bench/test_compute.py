"""Compute counted on a model whose numbers are known by hand."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from vmt.bench.compute import Compute

TOKENS, WIDTH = 6, 8
LINEAR = 2 * TOKENS * WIDTH * WIDTH


class WanAttentionBlock(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x):
        return self.linear(x)


@pytest.fixture
def blocks():
    torch.manual_seed(0)
    return torch.nn.Sequential(*(WanAttentionBlock() for _ in range(4))).requires_grad_(False)


def test_passes_through_the_whole_model(blocks):
    with torch.inference_mode(), Compute() as compute:
        blocks(torch.zeros(2, TOKENS, WIDTH))
    assert compute.told() == {"forwards": 2, "backwards": 0, "flops": 2 * 4 * LINEAR}


def test_a_pass_that_stops_half_way_is_half(blocks):
    with Compute() as compute:
        blocks(torch.zeros(1, TOKENS, WIDTH))
        blocks[:2](torch.zeros(1, TOKENS, WIDTH))
    assert compute.forwards == 1.5 and compute.flops == 6 * LINEAR


def test_gradients_are_counted_where_they_pass(blocks):
    x = torch.zeros(1, TOKENS, WIDTH, requires_grad=True)
    with Compute() as compute:
        blocks(torch.zeros(1, TOKENS, WIDTH))
        blocks[:2](x).sum().backward()
    assert (compute.forwards, compute.backwards, compute.flops) == (1.5, 0.5, 8 * LINEAR)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("each", [False, True])
def test_what_is_computed_again_counts_again(blocks, each, reentrant):
    x = torch.zeros(1, TOKENS, WIDTH, requires_grad=True)
    with Compute() as compute:
        for part in blocks if each else [blocks]:
            x = checkpoint(part, x, use_reentrant=reentrant)
        x.sum().backward()
    assert (compute.forwards, compute.backwards) == (2, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_on_a_cpu_is_counted(dtype):
    q = torch.zeros(1, 3, TOKENS, 16, dtype=dtype, requires_grad=True)
    with Compute() as forward:
        out = torch.nn.functional.scaled_dot_product_attention(q, q, q)
    with Compute() as backward:
        out.sum().backward()
    product = 2 * 3 * TOKENS * TOKENS * 16
    assert forward.flops == 2 * product  # q k and weights v
    assert backward.flops == 5 * product  # the scores again, and the gradients of v, weights, q and k


def test_a_convolution_counts_alike_however_it_is_asked_for():
    clip, weight = torch.zeros(1, 4, 3, 6, 6), torch.zeros(5, 4, 3, 3, 3)
    with Compute() as usual:
        torch.nn.functional.conv3d(clip, weight, padding=1)
    with Compute() as through_onednn:
        torch.ops.aten.mkldnn_convolution(clip, weight, None, [1] * 3, [1] * 3, [1] * 3, 1)
    assert through_onednn.flops == usual.flops == 2 * 5 * 3 * 6 * 6 * 4 * 27


def test_nothing_is_left_behind(blocks):
    with pytest.raises(RuntimeError), Compute() as compute:
        blocks(torch.zeros(1, 5, 5))
    before = compute.told()
    blocks(torch.zeros(1, TOKENS, WIDTH))
    assert compute.told() == before
