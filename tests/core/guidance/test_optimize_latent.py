import dataclasses
from itertools import pairwise

import pytest
import torch

from vmt.errors import StateError
from vmt.features import MotionFeatures
from vmt.guidance.config import UPDATES, GuidanceConfig
from vmt.guidance.gradient_skip import GradientSkip
from vmt.guidance.optimize_latent import optimize_latent
from vmt.signals.attention_flow import attention_flow_loss, extract
from vmt.token_grid import TokenGrid

PUBLISHED = GuidanceConfig(update="adam", strength=0.003, strength_decay=1 / 3, inner_steps=10, recompute_every=3)


def random_latent(batch=2, seed=0):
    return torch.randn(batch, 16, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def rms(x):
    return x.square().mean(tuple(range(1, x.ndim))).sqrt()


def linear_loss(weight):
    """A positive loss with the same gradient everywhere."""
    return lambda x: (x * weight).sum(tuple(range(1, x.ndim))) + 10 * weight.numel() * weight.abs().max() + 1


# ---- known answers


def test_published_adam_moves_every_entry_by_the_sum_of_its_steps():
    """Also the large ones, which a bfloat16 latent would leave where they are."""
    x = 3 * random_latent()
    weight = random_latent(seed=1).sign() * (0.1 + random_latent(seed=2).abs())
    moved = optimize_latent(x, linear_loss(weight), PUBLISHED) - x
    torch.testing.assert_close(moved, -0.0255 * weight.sign(), rtol=0.01, atol=0)

    bf16 = x.bfloat16()
    for j in range(10):
        bf16 = bf16 - (PUBLISHED.step_size(j) * weight.sign()).bfloat16()
    large = x.abs() > 2
    assert torch.equal(bf16[large], x.bfloat16()[large])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e6])
def test_rms_step_has_the_asked_size_whatever_the_scale_of_the_loss(scale):
    x, weight = random_latent(), random_latent(seed=1)
    weight[1] *= 100  # a sample's step does not depend on the other samples
    moved = optimize_latent(x, linear_loss(scale * weight), GuidanceConfig(strength=0.04, inner_steps=1)) - x
    torch.testing.assert_close(rms(moved), torch.full((2,), 0.04), rtol=1e-3, atol=0)
    cosine = torch.nn.functional.cosine_similarity(moved.flatten(1), -weight.flatten(1))
    assert (cosine > 0.9999).all()


def test_sign_step():
    x, weight = random_latent(), random_latent(seed=1)
    weight[0, 0] = 0
    moved = optimize_latent(x, linear_loss(weight), GuidanceConfig(strength=0.01, inner_steps=3, update="sign")) - x
    torch.testing.assert_close(moved, -0.03 * weight.sign(), atol=1e-6, rtol=0)


def test_adam_equals_torch_adam():
    x, centre = random_latent(1), random_latent(1, seed=1)

    def loss_fn(x):
        return (x - centre).square().sum((1, 2, 3, 4)) * 1e-3

    config = GuidanceConfig(update="adam", strength=0.02, inner_steps=6, recompute_every=1)
    leaf = x.clone().requires_grad_()
    adam = torch.optim.Adam([leaf], lr=0.02, eps=1e-12)
    for _ in range(6):
        adam.zero_grad()
        loss_fn(leaf).sum().backward()
        adam.step()
    torch.testing.assert_close(optimize_latent(x, loss_fn, config), leaf.detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("update", UPDATES)
def test_loss_falls_and_is_told(update):
    x, centre, told = random_latent(), random_latent(seed=1), []

    def loss_fn(x):
        return (x - centre).square().mean((1, 2, 3, 4))

    config = GuidanceConfig(update=update, strength=0.05, inner_steps=5, recompute_every=1)
    moved = optimize_latent(x, loss_fn, config, callback=told.append)
    assert [step["i"] for step in told] == [0, 1, 2, 3, 4] and {step["inner_steps"] for step in told} == {5}
    losses = torch.stack([*(step["loss"] for step in told), loss_fn(moved)])
    assert losses.shape == (6, 2) and (losses.diff(dim=0) < 0).all()
    torch.testing.assert_close(losses[0], loss_fn(x))
    assert told[0]["gradient_rms"].shape == (2,) and torch.equal(told[0]["x"], x)


def test_attention_flow_falls_on_a_linear_model():
    """From noise to q and k by one fixed projection of 2x2 patches: the smallest model with motion to guide."""
    generator = torch.Generator().manual_seed(0)
    project = torch.randn(2, 64, 48, generator=generator) / 8
    grid = TokenGrid(3, 6, 6)

    def features(x):
        patches = x.unfold(3, 2, 2).unfold(4, 2, 2).permute(0, 2, 3, 4, 1, 5, 6).reshape(len(x), grid.num_tokens, 64)
        q, k = (2 * torch.nn.functional.normalize(patches @ side, dim=-1).unflatten(-1, (2, 24)) * 24**0.5
                for side in (project[0], project[0]))  # fmt: skip
        return {1: q}, {1: k}

    first = torch.randn(1, 16, 1, 12, 12, generator=generator)
    reference = torch.cat([first.roll(2 * frame, 4) for frame in range(3)], 2)
    flow = extract(MotionFeatures(grid, *features(reference), "pre", 0.0, reference, "linear"))
    x = torch.randn(2, 16, 3, 12, 12, generator=generator)

    def loss_fn(x):
        return attention_flow_loss(flow, *features(x))

    assert (loss_fn(optimize_latent(x, loss_fn, GuidanceConfig(inner_steps=8))) < 0.5 * loss_fn(x)).all()


# ---- what must not move


@pytest.mark.parametrize("off", [{"strength": 0.0}, {"inner_steps": 0}])
def test_off_returns_the_very_same_latent_and_asks_for_no_loss(off):
    x = random_latent()
    assert optimize_latent(x, None, dataclasses.replace(PUBLISHED, **off)) is x


@pytest.mark.parametrize("update", UPDATES)
def test_zero_loss_leaves_its_sample_unchanged_and_only_that(update):
    x, reference = random_latent(), random_latent()
    reference[1] += 1

    def rounding(x):  # differs from zero by rounding only, with a gradient that is not zero
        return ((x - reference) * (1 + 1e-7) + 1e-6).square().mean((1, 2, 3, 4))

    moved = optimize_latent(x, rounding, GuidanceConfig(update=update))
    assert torch.equal(moved[0], x[0]) and not torch.equal(moved[1], x[1])
    flat = optimize_latent(x, lambda x: 0 * x.sum((1, 2, 3, 4)) + 1, GuidanceConfig(update=update))
    assert torch.equal(flat, x)


def test_the_latent_given_is_never_changed_in_place():
    x = random_latent()
    before = x.clone()
    optimize_latent(x, linear_loss(random_latent(seed=1)), GuidanceConfig())
    assert torch.equal(x, before) and not x.requires_grad


# ---- gradient reuse, types, modes


def test_number_of_gradients():
    calls, skip, told = [], GradientSkip(3), []

    def loss_fn(x):
        calls.append(x.detach().clone())
        return x.square().mean((1, 2, 3, 4))

    for _ in range(2):
        optimize_latent(random_latent(), loss_fn, PUBLISHED, skip, told.append)
    assert len(calls) == 8
    assert [step["i"] for step in told[:10] if step["recomputed"]] == [0, 3, 6, 9]
    # A reused gradient still moves the latent.
    assert all(not torch.equal(a["x"], b["x"]) for a, b in pairwise(told[:10]))


def test_recompute_every_of_the_config_is_the_default():
    calls = []

    def loss_fn(x):
        calls.append(1)
        return x.square().mean((1, 2, 3, 4))

    optimize_latent(random_latent(), loss_fn, GuidanceConfig(inner_steps=5, recompute_every=3))
    assert len(calls) == 2


def test_half_precision_latent_is_optimised_in_float32_and_returned_as_it_came():
    seen = []

    def loss_fn(x):
        seen.append(x.dtype)
        return x.square().mean((1, 2, 3, 4))

    moved = optimize_latent(random_latent().bfloat16(), loss_fn, GuidanceConfig())
    assert moved.dtype == torch.bfloat16 and set(seen) == {torch.float32}


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_gradients_work_where_the_caller_has_switched_them_off(mode):
    plain = optimize_latent(random_latent(), lambda x: x.square().mean((1, 2, 3, 4)), GuidanceConfig())
    with mode():
        x = random_latent()
        moved = optimize_latent(x, lambda x: x.square().mean((1, 2, 3, 4)), GuidanceConfig())
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
        assert not torch.is_grad_enabled()
    assert torch.equal(moved, plain)


# ---- refusals and interrupts


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(bad):
    with pytest.raises(StateError, match=r"NaN or infinite values appeared in guidance .*fp32"):
        optimize_latent(random_latent(), lambda x: x.square().mean((1, 2, 3, 4)) * bad, GuidanceConfig())
    x = random_latent()
    x[0, 0, 0, 0, 0] = bad
    with pytest.raises(StateError, match="Check the latent that enters"):
        optimize_latent(x, lambda x: x.square().mean((1, 2, 3, 4)), GuidanceConfig())


def test_one_of_the_two_is_enough():
    with pytest.raises(StateError, match=r"NaN or infinite .*loss inf, inf"):
        optimize_latent(random_latent(), lambda x: x.square().mean((1, 2, 3, 4)) + float("inf"), GuidanceConfig())
    with pytest.raises(StateError, match="NaN or infinite"):
        optimize_latent(torch.zeros(1, 4), lambda x: x.square().sum(1).sqrt() + 1, GuidanceConfig())


@pytest.mark.parametrize("cut", [lambda x: torch.ones(2), lambda x: torch.ones(2, requires_grad=True) * 2])
def test_a_loss_cut_off_from_the_latent_is_refused(cut):
    with pytest.raises(StateError, match="does not depend on the latent"):
        optimize_latent(random_latent(), cut, GuidanceConfig())


def test_an_interrupt_in_the_callback_stops_at_once():
    class Interrupt(Exception):
        pass

    def stop(step):
        if step["i"] == 2:
            raise Interrupt

    calls, x = [], random_latent()
    before = x.clone()

    def loss_fn(x):
        calls.append(1)
        return x.square().mean((1, 2, 3, 4))

    with torch.inference_mode():
        with pytest.raises(Interrupt):
            optimize_latent(x, loss_fn, GuidanceConfig(recompute_every=1), callback=stop)
        assert torch.is_inference_mode_enabled()
    assert len(calls) == 3 and torch.equal(x, before)
