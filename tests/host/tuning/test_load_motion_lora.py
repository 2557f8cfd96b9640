"""Load Motion LoRA: the same as the stock loader for what fits, a message for what does not."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from vmt.launch.run_result import NodeFailed


@pytest.fixture
def loras(host, no_files):
    """Folder that the host lists LoRAs of."""
    folder = host.base / "output" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def tuned(tune, loras):
    """Names of a motion and an appearance file of the tiny model."""
    tune(filename_prefix="loras/a", options={"sigma_end": 0.0})
    return "a_motion_00001_.safetensors", "a_appearance_00001_.safetensors"


@pytest.fixture
def stock(graph):
    def node(file, strength=1.0, model=("model", 0), name="lora"):
        inputs = {"model": list(model), "lora_name": file, "strength_model": strength}
        return {name: graph.node("LoraLoaderModelOnly", **inputs)}

    return node


@pytest.fixture
def sampled(sample, graph):
    def run(*parts, model=("lora", 0)):
        return sample(graph.loader(), *parts, graph.ksampler(model=model))

    return run


def test_equals_the_stock_loader(tuned, load, stock, sampled):
    motion, appearance = tuned
    plain = sampled(model=("model", 0))
    for strength in (1.0, 0.4, -0.5):
        ours = sampled(load(motion, motion_strength=strength))
        assert torch.equal(ours, sampled(stock(motion, strength))) and not torch.equal(ours, plain)
    both = sampled(load(motion, motion_strength=0.7, appearance_lora=appearance, appearance_strength=0.3))
    second = stock(appearance, 0.3, model=("first", 0))
    assert torch.equal(both, sampled(stock(motion, 0.7, name="first"), second))
    assert torch.equal(sampled(load(motion, motion_strength=0.0)), plain)
    assert torch.equal(sampled(load(motion, appearance_lora=appearance, appearance_strength=0.0)),
                       sampled(stock(motion)))  # fmt: skip


def test_several_in_a_row_add_up(tuned, tune, load, sampled):
    tune(filename_prefix="loras/b", seed=5, options={"sigma_end": 0.0})
    other = load("b_motion_00001_.safetensors", model=("lora", 0), name="second")
    both = sampled(load(tuned[0]), other, model=("second", 0))
    assert not torch.equal(both, sampled(load(tuned[0]))) and torch.isfinite(both).all()
    half = load(tuned[0], motion_strength=0.5)
    second_half = load(tuned[0], model=("lora", 0), name="second", motion_strength=0.5)
    halves = sampled(half, second_half, model=("second", 0))
    assert torch.allclose(halves, sampled(load(tuned[0])), atol=1e-4)


def test_a_file_that_was_tuned_anew_is_read_again(tuned, tune, load, sampled, loras):
    first = sampled(load(tuned[0]))
    tune(filename_prefix="loras/c", seed=9)
    (loras / "c_motion_00001_.safetensors").rename(loras / tuned[0])
    assert not torch.equal(sampled(load(tuned[0])), first)


def test_the_plain_model_is_left_as_it_was(tuned, load, sampled):
    before = sampled(model=("model", 0))
    sampled(load(tuned[0]))
    assert torch.equal(sampled(model=("model", 0)), before)


def test_files_of_other_programs_that_fit_are_taken(tuned, load, sampled, loras):
    names = {"lora_down": "lora_A", "lora_up": "lora_B"}
    tensors = {}
    for key, tensor in load_file(loras / tuned[0]).items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        tensors[key] = tensor
    save_file(tensors, loras / "theirs.safetensors")
    assert torch.equal(sampled(load("theirs.safetensors")), sampled(load(tuned[0])))


def test_weights_that_the_state_dict_has_packed(tuned, load, stock, sample, graph, model):
    """As GGUF and 4-bit files have them: the parameter tells its own shape, the state dict that of the bytes."""

    def pack(layer, state, prefix, *_):
        state[prefix + "weight"] = state[prefix + "weight"][:, ::2]

    layers = [getattr(block.self_attn, part) for block in model.model.diffusion_model.blocks for part in "qkvo"]
    hooks = [layer.register_state_dict_post_hook(pack) for layer in layers]
    try:
        ours, theirs = (
            sample(nodes, graph.ksampler(model=("lora", 0)), give={"packed": model})
            for nodes in (load(tuned[0], model=("packed", 0)), stock(tuned[0], model=("packed", 0)))
        )
    finally:
        for hook in hooks:
            hook.remove()
    assert torch.equal(ours, theirs)


def test_another_checkpoint_of_the_same_size_is_told(tuned, load, executor, graph, given, host, write_tiny):
    """Told, not refused. That of the file in another number format is no other."""
    write_tiny(host.base / "models" / "diffusion_models" / "tiny_other.safetensors", seed=1)
    own = graph.loader()
    coarse = {"model": {**own["model"], "inputs": {**own["model"]["inputs"], "weight_dtype": "fp8_e4m3fn"}}}

    def told(loader):
        nodes = {**loader, **load(tuned[0], appearance_lora=tuned[1])}
        return executor.run(nodes, want={"model": ["lora", 0]}, give=given).outputs["lora"]["text"][0]

    assert "another checkpoint" not in told(own) + told(coarse)
    other = told(graph.loader("tiny_other.safetensors"))
    for name in tuned:
        assert f"{name} was tuned on another checkpoint of this size" in other


class TestRefusals:
    def refused(self, sampled, nodes, said):
        with pytest.raises(NodeFailed, match=said):
            sampled(nodes)

    def test_the_other_branch(self, tuned, load, sampled):
        motion, appearance = tuned
        self.refused(sampled, load(appearance), "holds the appearance of a clip; motion_lora takes its motion")
        self.refused(sampled, load(motion, appearance_lora=motion), "holds the motion of a clip; appearance_lora takes")

    def test_another_base(self, tuned, load, sample, graph, other_wan):
        said = r"was made for WanModel, 4 blocks, 2 heads of 128; the model is WanModel, 3 blocks.* 12 of 48 tensors"
        with pytest.raises(NodeFailed, match=said):
            sample(graph.loader(other_wan("shallow")), load(tuned[0]), graph.ksampler(model=("lora", 0)))

    def test_another_width(self, tuned, load, sampled, loras):
        tensors = {key: t if t.ndim == 0 else t[:, :100].contiguous() for key, t in load_file(loras / tuned[0]).items()}
        save_file(tensors, loras / "narrow.safetensors")
        self.refused(sampled, load("narrow.safetensors"), "was made for another model, or by another program")

    def test_a_model_without_wans_blocks(self, load, sample, graph, loras, no_wan):
        save_file({"weight": torch.zeros(3)}, loras / "other.safetensors")
        with pytest.raises(NodeFailed, match=r"LTXV .LTXVModel., not a Wan model"):
            sample(load("other.safetensors", model=("own", 0)), graph.ksampler(model=("lora", 0)), give={"own": no_wan})

    def test_no_lora_at_all(self, load, sampled, loras):
        save_file({"weight": torch.zeros(3)}, loras / "other.safetensors")
        self.refused(sampled, load("other.safetensors"), "1 of 1 tensors do not fit it")

    def test_a_part_of_a_file(self, tuned, load, sampled, loras):
        whole = (loras / tuned[0]).read_bytes()
        (loras / "part.safetensors").write_bytes(whole[: len(whole) // 2])
        self.refused(sampled, load("part.safetensors"), "part.safetensors cannot be read .* Tune it again")
