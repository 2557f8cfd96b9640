"""What is captured is what a full pass computes, and the pass stops there."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.fixture
def capture(pack):
    return pack("nodes.host.capture")


@pytest.fixture
def tap(capture, pack):
    grid = pack("vmt.token_grid").TokenGrid(3, 4, 4)

    def make(blocks=(1, 2), rope="post", **more):
        return capture.Tap(blocks, 4, grid, rope, **more)

    return make


def record_full_pass(model, conds, x, sigma, model_options):
    """q, k of every self-attention before and after rotation, from one uncut pass without any of our code."""
    import comfy.samplers
    from comfy.ldm.modules.attention import attention_pytorch

    calls, before_rope = [], {}

    def override(func, q, k, v, *args, **kwargs):
        calls.append((q, k))
        return attention_pytorch(q, k, v, *args, **kwargs)

    handles = []
    for i, block in enumerate(model.diffusion_model.blocks):
        for side in ("norm_q", "norm_k"):
            norm = getattr(block.self_attn, side)
            handles.append(norm.register_forward_hook(lambda m, a, out, at=(side, i): before_rope.update({at: out})))
    options = {**model_options, "transformer_options": {**model_options["transformer_options"]}}
    options["transformer_options"]["optimized_attention_override"] = override
    try:
        comfy.samplers.calc_cond_batch(model, [conds], x, sigma, options)
    finally:
        for handle in handles:
            handle.remove()
    return calls[::2], before_rope  # every second call is a cross-attention


def test_equal_to_a_full_pass_bit_for_bit(model, inside, capture, tap):
    def look(sampled, x, sigmas, extra_args):
        args = (sampled.inner_model.inner_model, sampled.inner_model.conds["positive"], x, sigmas[:1])
        options = extra_args["model_options"]
        full, before_rope = record_full_pass(*args, options)
        return (full, before_rope, capture.capture_queries_keys(*args, options, tap()),
                capture.capture_queries_keys(*args, options, tap(rope="pre")))  # fmt: skip

    full, before_rope, post, pre = inside(model, look)
    for block in (1, 2):
        for side in (0, 1):
            assert post[side][block].shape == (1, 48, 2, 128)
            assert torch.equal(post[side][block].flatten(2), full[block][side])
            unrotated = before_rope[("norm_q", "norm_k")[side], block]
            assert (pre[side][block].flatten(2) - unrotated).abs().max() < 2e-6
            assert not torch.allclose(post[side][block], pre[side][block], atol=0.1), "rotation does nothing here"


def test_gradients_do_not_change_the_values(model, inside, capture, tap, pack):
    grad_scope = pack("nodes.host.gradients").grad_scope

    def look(sampled, x, sigmas, extra_args):
        args = (sampled.inner_model.inner_model, sampled.inner_model.conds["positive"])
        options = extra_args["model_options"]
        plain = capture.capture_queries_keys(*args, x, sigmas[:1], options, tap())
        with grad_scope():
            leaf, sigma = x.clone().requires_grad_(), sigmas[:1].clone()
            kept = capture.capture_queries_keys(*args, leaf, sigma, options, tap())
            checked = capture.capture_queries_keys(*args, leaf, sigma, options, tap(checkpoint="block"))
        return plain, kept, checked

    plain, kept, checked = inside(model, look)
    for side in (0, 1):
        for block in (1, 2):
            assert torch.equal(plain[side][block], kept[side][block])
            assert torch.equal(plain[side][block], checked[side][block])
            assert kept[side][block].requires_grad and checked[side][block].requires_grad


class Kernels(TorchDispatchMode):
    """Counts the fused attentions that are really computed."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += "scaled_dot_product" in str(function) and "backward" not in str(function)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("checkpoint, backward, attended", [("none", 0, 0), ("selective", 2, 0), ("block", 2, 4)])
def test_only_blocks_up_to_the_tap_run(model, inside, capture, tap, checkpoint, backward, attended, pack):
    """Blocks 0, 1, 2 once forward; with checkpoints 0 and 1 once more backward; block 3 never.

    Self- and cross-attention of blocks 0 and 1, none of block 2; once more where their results were not kept.
    """
    grad_scope = pack("nodes.host.gradients").grad_scope
    ran, kernels = [], Kernels()
    handles = [
        block.register_forward_pre_hook(lambda module, args, i=i: ran.append(i))
        for i, block in enumerate(model.model.diffusion_model.blocks)
    ]

    def look(sampled, x, sigmas, extra_args):
        with grad_scope(), kernels:
            leaf = x.clone().requires_grad_()
            queries, keys = capture.capture_queries_keys(
                sampled.inner_model.inner_model, sampled.inner_model.conds["positive"], leaf, sigmas[:1].clone(),
                extra_args["model_options"], tap(checkpoint=checkpoint),
            )  # fmt: skip
            forward = list(ran)
            torch.autograd.grad(sum(t.sum() for side in (queries, keys) for t in side.values()), leaf)
        return forward

    try:
        forward = inside(model, look)
    finally:
        for handle in handles:
            handle.remove()
    assert forward == [0, 1, 2]
    assert sorted(ran[3:]) == [0, 1][:backward]
    assert kernels.count == 4 + attended


def test_nothing_behind_the_tap_is_recorded(model, inside, capture, tap, pack):
    """What autograd keeps after the capture ends with q and k of the last tap: no feed-forward of it, no head."""
    grad_scope = pack("nodes.host.gradients").grad_scope
    ungraded = []
    handle = model.model.diffusion_model.head.register_forward_pre_hook(
        lambda module, args: ungraded.append((torch.is_grad_enabled(), args[0].requires_grad))
    )

    def look(sampled, x, sigmas, extra_args):
        with grad_scope():
            capture.capture_queries_keys(
                sampled.inner_model.inner_model, sampled.inner_model.conds["positive"], x.clone().requires_grad_(),
                sigmas[:1].clone(), extra_args["model_options"], tap(),
            )  # fmt: skip
            return torch.is_grad_enabled()

    try:
        assert inside(model, look), "the grad mode is put back after the pass"
    finally:
        handle.remove()
    assert ungraded == [(False, False)]


def test_two_prompts_are_two_captures(model, inside, capture, tap, given):
    """Of one length: one call with a batch of two. Of different length: two calls. Both give two captures."""
    one = given["positive"][0][0]

    def count(*prompts):
        def look(sampled, x, sigmas, extra_args):
            queries, _ = capture.capture_queries_keys(
                sampled.inner_model.inner_model, sampled.inner_model.conds["positive"], x, sigmas[:1],
                extra_args["model_options"], tap(),
            )  # fmt: skip
            return queries[2]

        return inside(model, look, positive=[[prompt, {}] for prompt in prompts])

    alone, same, other = count(one), count(one, one.flip(1)), count(one, one[:, :3])
    assert alone.shape[0] == 1 and same.shape[0] == 2 and other.shape[0] == 2
    for both in (same, other):
        assert min((both[i : i + 1] - alone).abs().max() for i in range(2)) < 1e-4


def test_the_hosts_own_skipping_is_left_out(model, inside, capture, tap):
    """Compiling and caching wrappers of the host do not run in the guided pass; those of other nodes do."""
    seen = []

    def note(name):
        def wrapper(executor, *args, **kwargs):
            seen.append(name)
            return executor(*args, **kwargs)

        return wrapper

    other = model.clone()
    for name in ("torch.compile", "another node"):
        other.add_wrapper_with_key("apply_model", name, note(name))
    other.add_wrapper_with_key("diffusion_model", "easycache", note("easycache"))

    def look(sampled, x, sigmas, extra_args):
        capture.capture_queries_keys(
            sampled.inner_model.inner_model, sampled.inner_model.conds["positive"], x, sigmas[:1],
            extra_args["model_options"], tap(),
        )  # fmt: skip

    inside(other, look)
    assert seen == ["another node"]


def test_tokens_of_a_reference_picture_are_left_out(other_wan, sample, graph, inside, capture, tap, given):
    """Fun models put a picture's tokens before those of the video."""
    model = sample(graph.loader(other_wan("ref_conv")), want=("model", 0))
    picture = torch.ones(1, 16, 1, 8, 8)
    positive = [[given["positive"][0][0], {"reference_latents": [picture]}]]

    def look(sampled, x, sigmas, extra_args):
        args = (sampled.inner_model.inner_model, sampled.inner_model.conds["positive"], x, sigmas[:1])
        full, _ = record_full_pass(*args, extra_args["model_options"])
        return full, capture.capture_queries_keys(*args, extra_args["model_options"], tap())

    full, captured = inside(model, look, positive=positive)
    assert full[2][0].shape[1] == 16 + 48
    for side in (0, 1):
        assert torch.equal(captured[side][2].flatten(2), full[2][side][:, 16:])
