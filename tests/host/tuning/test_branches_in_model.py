"""Branches in the real blocks: what they add, and their gradient."""

from dataclasses import replace

import pytest
import torch

from vmt.lora.positions import Positions, frame_scale
from vmt.lora.tune import Sample, halved

LEVEL = 0.8
PLAIN = Sample(torch.empty(0))  # of which a pass reads caption and places in time


@pytest.fixture
def learn(model, given, pack):
    """learn(work, model=...) -> work(pass, branches) with two new branches on the model's device, in inference mode."""
    tuning_pass, branches = pack("nodes.host.tuning_pass"), pack("vmt.lora.branches")

    def run(work, model=model, filled=False):
        def inside(held):
            wan = pack("nodes.host.model_check").check_wan(model)
            heads = torch.tensor([[True, False]] * wan.num_blocks)
            made = {
                n: branches.BranchLora(h, wan.dim, 4, seed=3) for n, h in (("spatial", heads), ("temporal", ~heads))
            }
            if filled:
                for number, parameter in enumerate(p for b in made.values() for p in b.parameters()):
                    parameter.data = 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
            return work(held, made)

        with torch.inference_mode():
            return tuning_pass.with_model(model, [given["positive"]], given["reference"]["samples"], inside)

    return run


@pytest.fixture
def branches_in(pack):
    return pack("nodes.host.lora_branches").branches_in


@pytest.fixture
def rotations(learn):
    """rotations(*(x, sample)) -> what the host turns the tokens of each by."""

    def work(held, branches, asked):
        seen = []

        def look(args, extra):
            seen.append(args["pe"].clone())
            return extra["original_block"](args)

        held.options.setdefault("transformer_options", {}).setdefault("patches_replace", {})["dit"] = {
            ("double_block", 0): look
        }
        with torch.no_grad():
            for x, sample in asked:
                held.velocity(x, LEVEL, sample)
        return seen

    return lambda *asked: learn(lambda held, branches: work(held, branches, asked))


def clip(seed=4, frames=3):
    return torch.randn(1, 16, frames, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_new_branches_change_nothing_bit_for_bit(learn, branches_in):
    def work(held, branches):
        plain = held.velocity(clip(), LEVEL, PLAIN)
        with branches_in(held.model.diffusion_model, branches):
            with_them = held.velocity(clip(), LEVEL, PLAIN)
        return plain, with_them, held.velocity(clip(), LEVEL, PLAIN)

    plain, with_them, after = learn(work)
    assert torch.equal(plain, with_them) and torch.equal(plain, after)


@pytest.mark.parametrize("kept", ["none", "selective", "block"])
def test_gradient_is_that_of_finite_differences(learn, branches_in, kept):
    """With respect to every matrix of both branches."""

    def work(held, branches):
        parameters = [p for branch in branches.values() for p in branch.parameters()]
        weight = torch.randn(clip().shape, generator=torch.Generator().manual_seed(9))

        def loss():
            return (held.velocity(clip(), LEVEL, PLAIN, kept) * weight).sum()

        with branches_in(held.model.diffusion_model, branches):
            loss().backward()
            gradients = [p.grad / held.scale.factor for p in parameters]
            with torch.no_grad():
                worst = 0.0
                for chosen in (slice(0, None, 2), slice(1, None, 2)):  # the matrices of one side at a time
                    pairs = list(zip(parameters, gradients, strict=True))[chosen]
                    size = sum(g.square().sum() for _, g in pairs).sqrt()
                    slopes = []
                    for step in (0.04, 0.08):
                        ends = []
                        for sign in (1, -1):
                            for p, g in pairs:
                                p.add_(sign * step / size * g)
                            ends.append(loss().double().item())
                            for p, g in pairs:
                                p.sub_(sign * step / size * g)
                        slopes.append((ends[0] - ends[1]) / (2 * step))
                    worst = max(worst, abs((4 * slopes[0] - slopes[1]) / 3 / size.item() - 1))
        return worst, gradients

    worst, gradients = learn(work, filled=True)
    print(f"\nlargest relative error against finite differences, {kept}: {worst:.1e}")
    assert worst < 1e-3
    assert all((gradient != 0).any() for gradient in gradients), "a matrix that no gradient reaches"


def test_what_is_kept_changes_nothing(learn, branches_in):
    def work(held, branches):
        found = []
        for kept in ("none", "selective", "block"):
            with branches_in(held.model.diffusion_model, branches):
                held.velocity(clip(), LEVEL, PLAIN, kept).square().sum().backward()
            found.append([p.grad / held.scale.factor for b in branches.values() for p in b.parameters()])
            for branch in branches.values():
                branch.zero_grad()
        return found

    plain, *others = learn(work, filled=True)
    for other in others:
        for a, b in zip(plain, other, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-6 * a.abs().max().item())


def test_stock_loader_gives_what_the_branches_gave(learn, branches_in, model, pack):
    """The exported file's tensors, loaded by the host into a clone, against the hooks."""
    import comfy.sd

    state_dict = pack("vmt.lora.files").state_dict

    def work(held, branches):
        with branches_in(held.model.diffusion_model, branches):
            result = held.velocity(clip(), LEVEL, PLAIN)
        return result, [state_dict(branch, torch.float32) for branch in branches.values()]

    hooked, files = learn(work, filled=True)
    loaded = model
    for file in files:
        loaded, _ = comfy.sd.load_lora_for_models(loaded, None, file, 1.0, 0)
    found = learn(lambda held, _: held.velocity(clip(), LEVEL, PLAIN), loaded)
    plain = learn(lambda held, _: held.velocity(clip(), LEVEL, PLAIN))
    assert (hooked - plain).abs().max() > 0.05
    torch.testing.assert_close(found, hooked, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_sparse_frames_sit_exactly_where_the_full_clip_has_them(rotations, factor):
    """Rotations that the host gives the thinned-out clip, against those of the full clip's latent frames."""
    full, per_frame = 2 * int(factor) + 1, 16
    whole, sparse = rotations((clip(frames=full), PLAIN), (clip(frames=3), replace(PLAIN, positions=Positions(factor))))
    counterparts = whole.unflatten(1, (full, per_frame))[:, :: int(factor)]
    assert torch.equal(sparse.unflatten(1, (3, per_frame)), counterparts)
    assert frame_scale(4 * (full - 1) + 1, 9) == factor


def test_tokens_of_half_a_clip_sit_exactly_in_the_middle_of_those_that_they_stand_for(rotations):
    """Turned twice by the middle is turned once by each of two opposite corners."""
    half, close = (halved(Sample(clip()), rope) for rope in ("ends", "none"))
    whole, half, close = rotations((clip(), PLAIN), (half.latent, half), (close.latent, close))
    whole, half, close = whole.unflatten(1, (3, 4, 4)), half.unflatten(1, (3, 2, 2)), close.unflatten(1, (3, 2, 2))
    by_each = whole[:, :, ::2, ::2] @ whole[:, :, 1::2, 1::2]
    torch.testing.assert_close(half @ half, by_each, rtol=1e-5, atol=1e-5)
    assert (close @ close - by_each).abs().max() > 0.5


def test_float16_gradients_are_those_of_float32(learn, branches_in, model, executor, graph, given, host, write_tiny):
    file = host.base / "models" / "diffusion_models" / "tiny_fp16.safetensors"
    write_tiny(file, dtype=torch.float16)
    half = executor.run(graph.loader(file.name), want={"model": ["model", 0]}, give=given).got["model"]
    half.set_model_compute_dtype(torch.float16)

    def work(held, branches):
        with branches_in(held.model.diffusion_model, branches):
            loss = 1e-6 * held.velocity(clip(), LEVEL, PLAIN).square().mean()
            loss.backward()
        return [p.grad / held.scale.factor for b in branches.values() for p in b.parameters()]

    exact, found = learn(work, filled=True), learn(work, half, filled=True)
    error = sum((a - b).square().sum() for a, b in zip(found, exact, strict=True)).sqrt()
    assert error < 0.05 * sum(a.square().sum() for a in exact).sqrt()


def test_the_host_is_asked_for_the_memory_of_the_backward_pass(learn, pack, monkeypatch):
    import comfy.model_management

    management, asked = comfy.model_management, []
    load = management.load_models_gpu

    def watched(models, memory_required=0, **more):
        asked.append(memory_required)
        return load(models, memory_required=memory_required, **more)

    monkeypatch.setattr(management, "load_models_gpu", watched)
    learn(lambda held, _: None)
    monkeypatch.setattr(pack("nodes.host.tuning_pass"), "RESERVE", 1)
    learn(lambda held, _: None)
    assert asked[0] == pytest.approx(3 * asked[1]) and asked[1] > 0
