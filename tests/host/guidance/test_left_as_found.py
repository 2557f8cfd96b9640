"""After a guided run, an interrupt and an exception in mid-guidance, the process samples as if nothing had been."""

import copy

import pytest
import torch
from torch.overrides import _len_torch_function_stack

from vmt.launch.run_result import NodeFailed, PromptInterrupted


def state_of(model) -> dict:
    """All that guidance could leave behind: flags, hooks, options, modes, memory of weights."""
    import comfy.model_management

    inner = model.model
    return {
        "in_training": comfy.model_management.__dict__.get("in_training", "absent"),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), _len_torch_function_stack()),
        "options": copy.deepcopy(model.model_options),
        "wrappers": copy.deepcopy(model.wrappers),
        "object patches": list(model.object_patches),
        "modules": [
            (name, module.training, sorted(module.__dict__), len(module._forward_hooks), len(module._forward_pre_hooks))
            for name, module in inner.named_modules()
        ],
        "parameters": [
            (name, p.requires_grad, p.grad is None, p.is_inference(), p.data_ptr())
            for name, p in inner.named_parameters()
        ],
    }


def is_text(event) -> bool:
    """Whether a message to the client is the line of text that each inner step sends."""
    from protocol import BinaryEventTypes

    return event == BinaryEventTypes.TEXT


@pytest.fixture
def guided(sample, graph):
    def run(checkpoint="block", on_event=None, give=None, model=("model", 0), recompute_every=1):
        options = {"options": graph.node("VMT_GuidanceOptions", update="rms", strength_decay=0.0, loss_floor=0.0,
                                         blocks="all", checkpoint=checkpoint)}  # fmt: skip
        guidance = graph.guidance(model, options=["options", 0], inner_steps=3, recompute_every=recompute_every)
        return sample(graph.loader(), graph.amf(), options, guidance, graph.ksampler(), on_event=on_event, give=give)

    return run


def test_after_a_guided_run(model, plain, guided):
    expected, before = plain(), state_of(model)  # in this order: the host notes things when it loads a model
    guided()
    assert state_of(model) == before
    assert torch.equal(plain(), expected)


@pytest.mark.parametrize("recompute_every", [1, 3])
def test_after_an_interrupt(model, host, plain, guided, recompute_every):
    """Also between inner steps that do not call the model, where the host itself would not look."""
    expected, before = plain(), state_of(model)
    steps = []

    def interrupt(event, data):
        if is_text(event):
            steps.append(data)
            if len(steps) == 2:
                host.nodes.interrupt_processing()

    with pytest.raises(PromptInterrupted):
        guided(on_event=interrupt, recompute_every=recompute_every)
    assert len(steps) == 2, "the run ends within the inner step it was cancelled in"
    assert state_of(model) == before
    assert torch.equal(plain(), expected)


def test_after_an_exception_between_inner_steps(model, plain, guided):
    expected, before = plain(), state_of(model)

    def fail(event, data):
        if is_text(event):
            raise RuntimeError("a test breaks this run")

    with pytest.raises(NodeFailed, match="a test breaks this run"):
        guided(on_event=fail)
    assert state_of(model) == before
    assert torch.equal(plain(), expected)


@pytest.mark.parametrize("checkpoint, calls_before", [("none", 1), ("block", 1), ("block", 2)])
def test_after_an_exception_in_a_block(model, plain, guided, checkpoint, calls_before):
    """In the forward pass, and with checkpoints also in the backward pass, where blocks run again."""
    expected, before = plain(), state_of(model)
    calls = []

    def fail(args, extra):
        if torch.is_grad_enabled():  # so not in the plain steps
            calls.append(1)
            if len(calls) > calls_before:
                raise RuntimeError("a test breaks this block")
        return extra["original_block"](args)

    with torch.inference_mode():
        other = model.clone()
        other.set_model_patch_replace(fail, "dit", "double_block", 1)
    with pytest.raises(NodeFailed, match="a test breaks this block"):
        guided(checkpoint, give={"other": other}, model=("other", 0))
    assert len(calls) == calls_before + 1
    assert state_of(model) == before
    assert torch.equal(plain(), expected)


def test_a_sampler_object_is_never_changed(sample, graph, samplers, host):
    import comfy.samplers

    with torch.inference_mode():
        sampler = comfy.samplers.sampler_object("euler")
    before = dict(sampler.__dict__)
    nodes = samplers["SamplerCustomAdvanced"](("guidance", 0))
    nodes["sampled"]["inputs"]["sampler"] = ["own", 0]
    sample(graph.loader(), graph.amf(), graph.guidance(), nodes, give={"own": sampler})
    assert sampler.__dict__ == before


def test_the_training_flag_keeps_a_value_that_was_there(pack):
    import comfy.model_management

    flag = pack("nodes.host.versions").training_flag
    before = comfy.model_management.__dict__.get("in_training", "absent")
    try:
        for value in (True, False):
            comfy.model_management.in_training = value
            with pytest.raises(KeyError), flag():
                assert comfy.model_management.in_training is True
                raise KeyError
            assert comfy.model_management.in_training is value
    finally:
        del comfy.model_management.in_training
        if before != "absent":
            comfy.model_management.in_training = before


@pytest.fixture
def without_memory(model):
    """without_memory(times) -> a model whose block 1 runs out of memory so often when a gradient is taken."""

    def make(times, error=torch.cuda.OutOfMemoryError):
        calls = []

        def fail(args, extra):
            if torch.is_grad_enabled():
                calls.append(1)
                if len(calls) <= times:
                    raise error("out of memory: a test has no memory")
            return extra["original_block"](args)

        with torch.inference_mode():
            other = model.clone()
            other.set_model_patch_replace(fail, "dit", "double_block", 1)
        return other

    return make


class DeviceError(RuntimeError):
    """Stands for the errors of torch that are no OutOfMemoryError, and tell of one all the same."""


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError, DeviceError])
def test_when_memory_runs_out_less_is_kept(model, plain, guided, without_memory, caplog, monkeypatch, error):
    import comfy.model_management

    if error is DeviceError:  # current ComfyUI has a function of this name, which knows those of torch
        monkeypatch.setattr(comfy.model_management, "is_oom", lambda e: "out of memory" in str(e), raising=False)
    expected, before = plain(), state_of(model)
    result = guided("none", model=("other", 0), give={"other": without_memory(2, error)})
    assert "Memory ran out with checkpoint none; motion guidance goes on with selective." in caplog.text
    assert "Memory ran out with checkpoint selective; motion guidance goes on with block." in caplog.text
    assert caplog.text.count("Memory ran out") == 2, "what did not fit is not tried again"
    assert (result - guided("none")).abs().max() < 1e-5
    assert state_of(model) == before
    assert torch.equal(plain(), expected)


def test_another_error_is_no_lack_of_memory(guided, without_memory, caplog):
    with pytest.raises(NodeFailed) as failed:
        guided("none", model=("other", 0), give={"other": without_memory(1, KeyError)})
    assert failed.value.exception_type == "KeyError"
    assert "Memory ran out" not in caplog.text


def test_half_size_is_left_when_nothing_can_be_kept(model, plain, guided, without_memory, caplog):
    expected, before = plain(), state_of(model)
    result = guided("block", model=("other", 0), give={"other": without_memory(1)})
    assert "Memory ran out with checkpoint block; motion guidance goes on with half size." in caplog.text
    assert torch.isfinite(result).all() and not torch.equal(result, guided("block"))
    assert state_of(model) == before
    assert torch.equal(plain(), expected)


def test_when_nothing_fits_the_run_ends_with_advice(model, plain, guided, without_memory):
    expected, before = plain(), state_of(model)
    with pytest.raises(NodeFailed, match=r"preset free.*a test has no memory"):
        guided("none", model=("other", 0), give={"other": without_memory(10**6)})
    assert torch.equal(plain(), expected)
    assert state_of(model) == before  # not before: out of memory, the host unloads what is loaded
