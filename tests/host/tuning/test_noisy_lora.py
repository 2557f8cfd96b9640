"""A motion LoRA that learned at high noise alone: it works there, and the rest of a run is the plain model's."""

import copy

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vmt.lora.tune import Sample

HIGH, LOW = 0.9, 0.6  # around the level that `tuning` learns down to


@pytest.fixture
def file(tune, no_files):
    tune(filename_prefix="loras/a")
    return "a_motion_00001_.safetensors"


@pytest.fixture
def models(executor, graph, given):
    """models(*nodes) -> the MODEL of the node "lora"."""

    def run(nodes, name="lora"):
        return executor.run({**graph.loader(), **nodes}, want={"model": [name, 0]}, give=given).got["model"]

    return run


@pytest.fixture
def said(given, pack):
    """said(model, level) -> what it says at that noise level."""
    with_model = pack("nodes.host.tuning_pass").with_model
    x = torch.randn(1, 16, 3, 8, 8, generator=torch.Generator().manual_seed(4))

    def run(model, level):
        def work(held):
            with torch.no_grad():
                return held.velocity(x, level, Sample(torch.empty(0)))

        with torch.inference_mode():
            return with_model(model, [given["positive"]], given["reference"]["samples"], work)

    return run


def test_it_works_where_it_learned_and_nowhere_else(file, load, models, said, model, graph):
    ours = models(load(file))
    inputs = {"model": ["model", 0], "lora_name": file, "strength_model": 1.0}
    stock = models({"lora": graph.node("LoraLoaderModelOnly", **inputs)})
    assert torch.equal(said(ours, LOW), said(model, LOW)) and not torch.equal(said(stock, LOW), said(model, LOW))
    torch.testing.assert_close(said(ours, HIGH), said(stock, HIGH), rtol=1e-4, atol=1e-4)
    assert (said(ours, HIGH) - said(model, HIGH)).abs().max() > 1e-2
    assert torch.equal(said(ours, LOW), said(model, LOW)), "also after it was at work"


def test_what_it_brings_to_the_device_can_take_part_in_a_gradient(file, load, sample, graph, pack, monkeypatch):
    """Tensors made in inference mode, in which the host runs, could not; on one device nothing is made."""
    modes = []
    branches = pack("vmt.lora.branches").BranchLora
    monkeypatch.setattr(branches, "to", lambda branch, device: modes.append(torch.is_inference_mode_enabled()))
    sample(graph.loader(), load(file), graph.ksampler(model=("lora", 0)))
    assert modes and not any(modes)


def test_a_clone_of_another_model_object_has_it_in_its_own_layers(file, load, models, said, model, pack):
    """Newer hosts make such clones, for other devices or to be compiled."""
    import comfy.model_management

    noisy_lora = pack("nodes.host.noisy_lora")
    ours = models({**load(file), **load(file, model=("lora", 0), name="second")}, "second")
    assert ours.clone().object_patches == ours.object_patches, "of the same model nothing is made anew"
    comfy.model_management.unload_all_models()  # so that nothing of ours stands in what is copied
    other = copy.copy(model.model)
    other._modules = {**other._modules, "diffusion_model": copy.deepcopy(model.model.diffusion_model)}
    for block in other.diffusion_model.blocks:
        block.self_attn.q.weight.data.mul_(2)

    backups = {}, {}  # one pair for all patchers of a model object

    def on_other(patcher):
        clone = patcher.clone()
        clone.model, (clone.backup, clone.object_patches_backup) = other, backups
        return clone

    clone, expected = on_other(ours), on_other(model)
    noisy_lora._follow(ours, clone)
    for lora in noisy_lora.told(ours):
        expected = noisy_lora.with_noisy_lora(expected, *lora)
    assert torch.equal(said(clone, HIGH), said(expected, HIGH))
    assert not torch.equal(said(clone, HIGH), said(on_other(model), HIGH))
    assert not torch.equal(said(clone, HIGH), said(ours, HIGH))


def test_the_model_that_comes_out_of_the_tuner_is_that_of_the_loader(tune, load, sample, graph, no_files):
    out = tune(filename_prefix="loras/a").got["model"]
    ours = sample(graph.loader(), load("a_motion_00001_.safetensors"), graph.ksampler(model=("lora", 0)))
    tuned = sample(graph.loader(), graph.ksampler(model=("out", 0)), give={"out": out})
    assert torch.equal(ours, tuned) and not torch.equal(
        tuned, sample(graph.loader(), graph.ksampler(model=("model", 0)))
    )


def test_at_all_levels_it_is_what_the_stock_loader_makes(file, load, sample, graph):
    inputs = {"model": ["model", 0], "lora_name": file, "strength_model": 0.6}
    stock = {"lora": graph.node("LoraLoaderModelOnly", **inputs)}
    ours = load(file, motion_strength=0.6, noise_levels="all")
    found = [sample(graph.loader(), nodes, graph.ksampler(model=("lora", 0))) for nodes in (ours, stock)]
    assert torch.equal(*found)


def test_a_file_in_other_names_works_at_all_levels(file, load, models, said, model, no_files):
    """Another program wrote it anew and kept what it says of itself."""
    folder, tensors = no_files / "output" / "loras", {}
    with safe_open(folder / file, "pt") as held:
        about = held.metadata()
        for key in held.keys():
            tensors[key.replace("lora_down", "lora_A").replace("lora_up", "lora_B")] = held.get_tensor(key)
    save_file(tensors, folder / "theirs.safetensors", about)
    assert not torch.equal(said(models(load("theirs.safetensors")), LOW), said(model, LOW))


def test_several_in_a_row_add_up(file, load, models, said):
    once = said(models(load(file)), HIGH)
    second = load(file, model=("lora", 0), name="second", motion_strength=0.5)
    twice = models({**load(file, motion_strength=0.5), **second}, name="second")
    torch.testing.assert_close(said(twice, HIGH), once, rtol=1e-4, atol=1e-4)


def test_the_plain_model_is_left_as_it_was(file, load, sample, graph, model):
    before = sample(graph.loader(), graph.ksampler(model=("model", 0)))
    pointers = {p.data_ptr() for p in model.model.diffusion_model.parameters()}
    sample(graph.loader(), load(file), graph.ksampler(model=("lora", 0)))
    assert torch.equal(sample(graph.loader(), graph.ksampler(model=("model", 0))), before)
    assert {p.data_ptr() for p in model.model.diffusion_model.parameters()} == pointers, "no weight is copied"


@pytest.mark.parametrize("level", [HIGH, LOW])
def test_a_gradient_goes_through_it_also_where_blocks_are_computed_again(file, load, models, given, pack, level):
    """They are computed again after the pass of their noise level, when another may have been asked for."""
    branches, branches_in = pack("vmt.lora.branches"), pack("nodes.host.lora_branches").branches_in
    x = torch.randn(1, 16, 3, 8, 8, generator=torch.Generator().manual_seed(5))

    def gradient(kept):
        def work(held):
            wan = pack("nodes.host.model_check").check_wan(held.guider.model_patcher)
            branch = branches.BranchLora(torch.ones(wan.num_blocks, wan.num_heads, dtype=torch.bool), wan.dim, 2)
            with branches_in(held.model.diffusion_model, {"own": branch}):
                held.velocity(x, level, Sample(torch.empty(0)), kept).square().mean().backward()
            return [parameter.grad for parameter in branch.parameters()]

        with torch.inference_mode():
            return pack("nodes.host.tuning_pass").with_model(
                models(load(file)), [given["positive"]], given["reference"]["samples"], work
            )

    for whole, again in zip(gradient("none"), gradient("block"), strict=True):
        torch.testing.assert_close(again, whole, rtol=1e-3, atol=1e-6)


def test_tunings_of_models_with_and_without_it_are_told_apart(file, load, models, model, key_of):
    keys = [key_of(model), *(key_of(models(load(file, motion_strength=s))) for s in (1.0, 0.5))]
    assert len(set(keys)) == 3 and key_of(models(load(file))) == keys[1]
