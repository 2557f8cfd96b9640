"""Defects of a public release of FastVMT in how it runs the model, made again: each fails a check that our code passes.

Those of its formulas are in `tests/core/signals`. Its timing option, which crashed without a folder, has nothing here
that it could be compared with: the bench takes the time of a run from the host, and `tests/host/test_bench_cost` does
so of a plain one without any reference.
"""

import gc

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.core.signals.test_published_defects import fails
from tests.host.guidance.test_guided_step import every_setting_matters
from tests.host.guidance.test_left_as_found import is_text, state_of
from tests.host.guidance.test_presets import BLOCKS, STEPS, TAPPED


@pytest.fixture
def guided(sample, graph):
    def run(preset="custom", reference=("reference", 0), give=None, extract=None, inversion=None, sampler=None, **more):
        amf = graph.amf(reference=reference, extract=extract or {}, **(inversion or {}))
        parts = graph.loader(), amf, graph.guidance(preset=preset, **more)
        return sample(*parts, graph.ksampler(**(sampler or {})), give=give)

    return run


def captured_with_gradient(model, inside, pack, checkpoint="none"):
    """A look at the tiny model as guidance takes it, with its gradient; how often each block ran."""
    capture, grid = pack("nodes.host.capture"), pack("vmt.token_grid").TokenGrid(3, 4, 4)
    tap, ran = capture.Tap((1, 2), BLOCKS, grid, "post", checkpoint=checkpoint), [0] * BLOCKS

    def note(number):
        def hook(module, args):
            ran[number] += 1

        return hook

    def look(sampled, x, sigmas, extra_args):
        with pack("nodes.host.gradients").grad_scope():
            leaf = x.clone().requires_grad_()
            queries, keys = capture.capture_queries_keys(
                sampled.inner_model.inner_model, sampled.inner_model.conds["positive"], leaf, sigmas[:1].clone(),
                extra_args["model_options"], tap,
            )  # fmt: skip
            torch.autograd.grad(sum(t.sum() for side in (queries, keys) for t in side.values()), leaf)

    blocks = model.model.diffusion_model.blocks
    handles = [block.register_forward_pre_hook(note(number)) for number, block in enumerate(blocks)]
    try:
        inside(model, look)
    finally:
        for handle in handles:
            handle.remove()
    return ran


# ---- the model is left as it was


def the_model_is_left_as_found(model, act):
    before = state_of(model)
    act()
    assert state_of(model) == before


def test_training_mode_and_saving_left_on_would_be_noticed(model, guided, sample, graph):
    def released():
        inner = model.model.diffusion_model
        inner.train()
        inner.blocks[1].self_attn.save_qk = True
        guided()

    sample(graph.loader(), graph.ksampler(("model", 0)))  # the host notes things when it loads a model
    the_model_is_left_as_found(model, guided)
    try:
        assert fails(the_model_is_left_as_found, model, released)
    finally:
        model.model.diffusion_model.eval()
        del model.model.diffusion_model.blocks[1].self_attn.save_qk


# ---- what runs, and how often


def one_pass_a_step_without_a_negative_prompt(passes):
    assert passes(cfg=1.0) == STEPS and passes(cfg=3.0) == 2 * STEPS


def test_a_negative_prompt_made_only_for_cfg_above_one_would_be_noticed(guided, pack):
    def ours(cfg):
        with pack("vmt.bench.compute").Compute() as counted:
            guided("free", sampler={"cfg": cfg})
        return counted.forwards

    def released(cfg):
        passes = 0

        def model(prompt):
            nonlocal passes
            passes += 1
            return 0.0

        if cfg != 1.0:
            negative = "blurry"
        for _ in range(STEPS):
            wanted, unwanted = model("a red circle"), model(negative)
            _ = unwanted + cfg * (wanted - unwanted)
        return passes

    one_pass_a_step_without_a_negative_prompt(ours)
    with pytest.raises(UnboundLocalError):
        one_pass_a_step_without_a_negative_prompt(released)


def the_reference_is_looked_at_once(passes):
    """A second video of the same reference costs its own passes: two a step, and one to the tap for each gradient."""
    first, second = passes(seed=1), passes(seed=2)
    looks = TAPPED / BLOCKS * 3  # of six steps three lie within the guided range
    assert second == 2 * STEPS + looks and first - second in (0, TAPPED / BLOCKS)


def test_a_reference_looked_at_in_every_step_would_be_noticed(guided, pack, monkeypatch):
    guidance = pack("nodes.host.attention_guidance")
    ours_at_a_step = guidance.AttentionGuidance.loss_function

    def passes(seed):
        with pack("vmt.bench.compute").Compute() as counted:
            guided(sampler={"seed": seed}, inner_steps=1, look_ahead=False)
        return counted.forwards

    def with_a_look_at_the_reference(self, model, x, sigma, model_options, *args, **kwargs):
        conds = model.inner_model.conds["positive"]
        level = x.new_full((len(x),), float(sigma))
        guidance.predicted_velocity(model.inner_model.inner_model, conds, x, level, model_options)
        return ours_at_a_step(self, model, x, sigma, model_options, *args, **kwargs)

    the_reference_is_looked_at_once(passes)
    monkeypatch.setattr(guidance.AttentionGuidance, "loss_function", with_a_look_at_the_reference)
    assert fails(the_reference_is_looked_at_once, passes)


def no_block_behind_the_tap_runs(ran):
    assert ran == [1, 1, 1, 0]


def test_a_pass_to_the_end_for_a_loss_in_the_middle_would_be_noticed(model, inside, pack, monkeypatch):
    no_block_behind_the_tap_runs(captured_with_gradient(model, inside, pack))
    capture = pack("nodes.host.capture")
    monkeypatch.setattr(capture, "_pass_through", capture.plain_block)
    assert fails(no_block_behind_the_tap_runs, captured_with_gradient(model, inside, pack))


def a_block_runs_twice_at_most(ran):
    assert max(ran) <= 2


def test_checkpoints_within_checkpoints_would_be_noticed(model, inside, pack, monkeypatch):
    a_block_runs_twice_at_most(captured_with_gradient(model, inside, pack, "block"))
    capture = pack("nodes.host.capture")
    once = capture.checkpointed
    monkeypatch.setattr(capture, "checkpointed", lambda patch, *kept: once(once(patch, *kept), *kept))
    assert fails(a_block_runs_twice_at_most, captured_with_gradient(model, inside, pack, "block"))


def nothing_is_swept_in_mid_guidance(guided, monkeypatch):
    """No garbage collection and no emptied cache between the first and the last inner step."""
    swept, inner = [], []

    def text(event, data):  # each inner step sends one; the host itself sweeps between nodes
        inner.append(len(swept))

    with monkeypatch.context() as patched:
        for place, name in ((gc, "collect"), (torch.cuda, "empty_cache")):
            patched.setattr(place, name, lambda *args, name=name: swept.append(name))
        guided(on_step=text)
    assert len(inner) > 2 and inner[-1] == inner[0]


def test_sweeping_in_every_inner_step_would_be_noticed(sample, graph, monkeypatch, pack):
    guidance = pack("nodes.host.attention_guidance")
    ours = guidance.AttentionGuidance.loss_function

    def guided(on_step):
        parts = graph.loader(), graph.amf(), graph.guidance(inner_steps=3), graph.ksampler()
        sample(*parts, on_event=lambda event, data: is_text(event) and on_step(event, data))

    def sweeping(*args, **kwargs):
        loss = ours(*args, **kwargs)

        def swept(latent):
            gc.collect()
            torch.cuda.empty_cache()
            return loss(latent)

        return swept

    nothing_is_swept_in_mid_guidance(guided, monkeypatch)
    monkeypatch.setattr(guidance.AttentionGuidance, "loss_function", sweeping)
    assert fails(nothing_is_swept_in_mid_guidance, guided, monkeypatch)


# ---- numbers


def positions_are_taken_out_in_single_precision(unrotate):
    """As exact as matters, and no double-precision copy of q or k: shapes of 81 frames at 480x832, one head."""
    generator = torch.Generator().manual_seed(0)
    angle = 6.28 * torch.rand(1, 32760, 1, 64, generator=generator)
    pe = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).unflatten(-1, (2, 2))
    x = torch.randn(1, 32760, 1, 128, generator=generator)
    turned = torch.einsum("blhpij,blhpj->blhpi", pe.double(), x.double().unflatten(-1, (-1, 2))).flatten(-2)
    assert (unrotate(turned.float(), pe) - x).abs().max() < 1e-3
    with Dtypes() as made:
        unrotate(x, pe)
    assert made.seen == {torch.float32}


class Dtypes(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.seen |= {part.dtype for part in tree_leaves(result) if isinstance(part, torch.Tensor)}
        return result


def test_positions_in_double_precision_would_be_noticed(pack):
    def released(x, pe):
        pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
        turn = torch.complex(pe[..., 0, 0].double(), pe[..., 1, 0].double())
        return torch.view_as_real(pairs * turn.conj()).flatten(-2).float()

    positions_are_taken_out_in_single_precision(pack("nodes.host.capture").unrotate)
    assert fails(positions_are_taken_out_in_single_precision, released)


def the_loss_reads_the_video_at_the_level_of_the_run(levels_and_told):
    levels, told = levels_and_told
    assert levels and told == levels


def test_a_level_in_the_models_precision_would_be_noticed(sample, graph, model, pack, monkeypatch):
    """A model that computes in bfloat16 does not make the noise level one."""
    guidance, sampling = pack("nodes.host.attention_guidance"), pack("nodes.host.guided_sampling")
    with torch.inference_mode():
        low = model.clone()
        low.set_model_compute_dtype(torch.bfloat16)
    looked, in_chunks = guidance.capture_queries_keys, sampling.sample_in_chunks

    def run():
        levels, told = [], []

        def look(wan, conds, x, sigma, *rest):
            told.extend(sigma.tolist())
            return looked(wan, conds, x, sigma, *rest)

        def chunks(sampler_function, change, at_steps, wan, x, sigmas, *rest):
            levels.extend(sigmas[at_steps].tolist())
            return in_chunks(sampler_function, change, at_steps, wan, x, sigmas, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(guidance, "capture_queries_keys", look)
            patched.setattr(sampling, "sample_in_chunks", chunks)
            nodes = graph.guidance(("low", 0), inner_steps=1, look_ahead=False)
            sample(graph.loader(), graph.amf(), nodes, graph.ksampler(), give={"low": low})
        return levels, told

    ours = guidance.AttentionGuidance.loss_function

    def released(self, wan, x, sigma, *args, **kwargs):
        return ours(self, wan, x, (1000 * sigma).bfloat16().float() / 1000, *args, **kwargs)

    the_loss_reads_the_video_at_the_level_of_the_run(run())
    monkeypatch.setattr(guidance.AttentionGuidance, "loss_function", released)
    assert fails(the_loss_reads_the_video_at_the_level_of_the_run, run())


# ---- what is asked for is what is done


def the_start_is_noise_whatever_the_reference(run):
    """Where nothing is guided, another reference makes no other video."""
    assert torch.equal(run("reference"), run("other"))


def test_a_hidden_start_from_the_noised_reference_would_be_noticed(guided, sample, graph, given):
    give = {"other": {"samples": given["reference"]["samples"].flip(2)}}

    def ours(name):
        return guided(reference=(name, 0), give=give, sigma_start=0.02, sigma_end=0.01)

    def released(name):
        nodes = graph.ksampler(("model", 0), latent_image=[name, 0], denoise=0.75)
        return sample(graph.loader(), nodes, give=give)

    the_start_is_noise_whatever_the_reference(ours)
    assert fails(the_start_is_noise_whatever_the_reference, released)


def every_choice_runs(choices, run):
    for choice in choices:
        try:
            run(choice)
        except (NotImplementedError, ValueError) as error:
            raise AssertionError(f"{choice} is offered, and refused: {error}") from error


OF_THE_HOST = {"sampler_name", "scheduler"}  # KSampler's own lists; `test_samplers` goes through them


@pytest.fixture
def with_choice(sample, graph, samplers, guided):
    """with_choice[node](input, choice): two steps, one of them guided, with that choice for an input of the node."""
    short = {"steps": 2}

    def options(name, choice):
        nodes = {"options": graph.node("VMT_GuidanceOptions", **{**OPTIONS, name: choice})}
        return sample(
            graph.loader(), graph.amf(), nodes, graph.guidance(options=["options", 0]), graph.ksampler(**short)
        )

    def sampler(name, choice):
        nodes = samplers["VMT_MotionGuidanceSampler"](("model", 0), **short, **{name: choice})
        return sample(graph.loader(), graph.amf(), nodes)

    return {
        "VMT_WindowedInversion": lambda name, choice: guided(inversion={name: choice}, sampler=short),
        "VMT_ExtractAMF": lambda name, choice: guided(extract={name: choice}, sampler=short),
        "VMT_MotionGuidance": lambda name, choice: guided(sampler=short, **{name: choice}),
        "VMT_GuidanceOptions": options,
        "VMT_MotionGuidanceSampler": sampler,
    }


OPTIONS = {"update": "rms", "strength_decay": 0.0, "loss_floor": 0.0, "blocks": "all", "checkpoint": "auto"}


@pytest.mark.parametrize(
    "node",
    [
        "VMT_WindowedInversion",
        "VMT_ExtractAMF",
        "VMT_GuidanceOptions",
        "VMT_MotionGuidance",
        "VMT_MotionGuidanceSampler",
    ],
)
def test_every_choice_of_every_node_runs(with_choice, host, node):
    """And a listing with a mode that nothing behind it knows would be noticed."""
    inputs = host.nodes.NODE_CLASS_MAPPINGS[node].INPUT_TYPES()
    offered = {**inputs["required"], **inputs.get("optional", {})}
    ran = 0
    for name, (kind, *more) in offered.items():
        choices = kind if isinstance(kind, list) else more[0].get("options") if kind == "COMBO" else None
        if choices and name not in OF_THE_HOST:
            every_choice_runs(choices, lambda choice, name=name: with_choice[node](name, choice))
            ran += len(choices)
    assert ran >= 4

    def released(mode):
        if mode not in ("effi_trans", "no_transfer"):
            raise ValueError(f"unknown mode {mode}")

    assert fails(every_choice_runs, ["effi_trans", "no_transfer", "moft"], released)


def test_settings_that_are_literals_inside_would_be_noticed(sample, graph):
    def released(amf=None, **settings):
        settings.pop("options", None)
        parts = graph.loader(), graph.amf(), graph.guidance()
        return sample(*parts, graph.ksampler())

    assert fails(every_setting_matters, released)
