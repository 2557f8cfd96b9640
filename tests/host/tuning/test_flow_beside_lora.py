"""The latent flow of the clip that a motion LoRA was tuned on: kept in its file, it guides beside the LoRA."""

import logging

import pytest
import torch
from safetensors.torch import save_file

from vmt.launch.run_result import NodeFailed
from vmt.lora.files import read

NAME = "a_motion_00001_.safetensors"


@pytest.fixture
def folder(no_files):
    return no_files / "output" / "loras"


@pytest.fixture
def tuned(tune, folder, executor):
    """What came out of the tuner, with its files."""
    executor.forget()  # or the files that an earlier test has removed would not be written again
    return tune(filename_prefix="loras/a", options={"latent_flow": True})


@pytest.fixture
def sampled(sample, graph):
    """sampled(*parts, model, **inputs of KSampler) -> latent."""

    def run(*parts, model=("lora", 0), give=None, on_event=None, **inputs):
        return sample(graph.loader(), *parts, graph.ksampler(model=model, **inputs), give=give, on_event=on_event)

    return run


@pytest.fixture
def encoded(tuned, executor, graph, given, clip):
    """The clip that was tuned on, as a reference latent."""
    nodes = {
        "vae": graph.node("VAELoader", vae_name="vmt_demo_wan_vae.safetensors"),
        "encoded": graph.node("VAEEncode", pixels=["clip", 0], vae=["vae", 0]),
    }
    return executor.run(nodes, want={"latent": ["encoded", 0]}, give={"clip": clip}).got["latent"]


def texts(events):
    from protocol import BinaryEventTypes

    return [data for event, data in events if event == BinaryEventTypes.TEXT]


def test_it_is_lora_and_latent_flow_guidance_together(tuned, load, sampled, graph, encoded):
    """But for the file's float16; as Motion Guidance has it by the preset free, from the LoRA alone."""
    both = sampled(load(NAME))
    alone = load(NAME, flow_strength=0.0)
    guided = graph.amf(), graph.guidance(model=("lora", 0), preset="free", strength=0.04)
    expected = sampled(alone, *guided, model=("guidance", 0), give={"reference": encoded})
    assert (both - expected).norm() < 0.02 * (expected - sampled(alone)).norm()


def test_the_model_that_comes_out_of_the_tuner_is_that_of_the_loader(tuned, load, sampled):
    ours = sampled(model=("out", 0), give={"out": tuned.got["model"]})
    assert torch.equal(ours, sampled(load(NAME)))
    assert not torch.equal(ours, sampled(load(NAME, flow_strength=0.0)))


def test_without_it_the_lora_is_alone(tuned, tune, load, sampled, folder):
    tune(filename_prefix="loras/b", options={"latent_flow": False})
    other = "b_motion_00001_.safetensors"
    assert "flow_grid" in read(folder / NAME)[1] and "flow_grid" not in read(folder / other)[1]
    assert torch.equal(sampled(load(other)), sampled(load(NAME, flow_strength=0.0)))


def test_whether_it_is_kept_takes_no_step(tuned, tune):
    events = []
    tune(filename_prefix="loras/b", options={"latent_flow": False}, on_event=lambda *event: events.append(event))
    assert not [told for told in texts(events) if b"branch, step" in told]


def test_appearance_has_none(tuned, folder):
    assert "flow_grid" not in read(folder / "a_appearance_00001_.safetensors")[1]


def test_it_guides_by_as_much_as_is_asked_for(tuned, load, sampled):
    """The flow alone: of the LoRA there is a trace, and of the flow a hundred times it."""
    plain = sampled(model=("model", 0))
    trace = [sampled(load(NAME, motion_strength=0.01, flow_strength=f)) for f in (0.0, 1.0, 2.0)]
    moved = [(found - plain).norm() for found in trace]
    assert moved[0] < moved[1] < moved[2]


def test_the_opposite_motion(tuned, pack):
    from_file = pack("vmt.lora.use").use_in_file
    with_flow = pack("nodes.host.flow_beside_lora").with_flow
    motion = tuned.got["model"]
    kept = from_file({**pack("vmt.lora.flow_in_file").written_flow(guidance(motion).flow)}).flow
    opposite = guidance(with_flow(motion, kept, -0.5), 1)
    assert torch.equal(opposite.flow.displacement, -kept.displacement)
    assert opposite.config.strength == 0.5 * guidance(motion).config.strength
    assert with_flow(motion, kept, 0.0) is motion and with_flow(motion, None, 1.0) is motion


def guidance(model, number=0):
    """The flow's guidance of a model, of several the one of that number."""
    from comfy.patcher_extension import WrappersMP

    return model.get_all_wrappers(WrappersMP.SAMPLER_SAMPLE)[number].__self__


def test_a_video_of_another_length_is_made_by_the_lora_alone(tuned, load, sampled, caplog):
    longer, events = {"empty": {"samples": torch.zeros(1, 16, 4, 8, 8)}}, []
    with caplog.at_level(logging.WARNING):
        found = sampled(load(NAME), give=longer, on_event=lambda *event: events.append(event))
    assert torch.equal(found, sampled(load(NAME, flow_strength=0.0), give=longer))
    said = "without the flow in its file: that is of 3 latent frames, and the video has 4"
    assert said in caplog.text and any(said.encode() in told for told in texts(events)), "in the log and on the node"


def test_a_video_of_another_size_follows_it(tuned, load, sampled):
    wide = {"empty": {"samples": torch.zeros(1, 16, 3, 8, 12)}}
    found, alone = (sampled(load(NAME, flow_strength=f), give=wide) for f in (1.0, 0.0))
    assert torch.isfinite(found).all() and not torch.equal(found, alone)


def test_motion_guidance_behind_it_guides_by_itself(tuned, load, sampled, graph, caplog):
    """Another reference is asked for there; both at once would pull apart, or twice."""
    guided = graph.amf(), graph.guidance(model=("lora", 0), preset="free", strength=0.04)
    with caplog.at_level(logging.WARNING):
        found = sampled(load(NAME), *guided, model=("guidance", 0))
    assert "Motion Guidance guides already" in caplog.text
    assert torch.equal(found, sampled(load(NAME, flow_strength=0.0), *guided, model=("guidance", 0)))


@pytest.mark.parametrize("name", ["euler_ancestral", "dpmpp_2m", "uni_pc"])
def test_samplers(tuned, load, sampled, name):
    found, alone = (sampled(load(NAME, flow_strength=f), sampler_name=name) for f in (1.0, 0.0))
    assert torch.isfinite(found).all() and not torch.equal(found, alone)


def test_the_plain_model_is_left_as_it_was(tuned, load, sampled):
    before = sampled(model=("model", 0))
    sampled(load(NAME))
    assert torch.equal(sampled(model=("model", 0)), before)


def test_a_stock_loader_takes_the_file_and_says_nothing_of_it(tuned, sampled, graph, load, caplog):
    inputs = {"model": ["model", 0], "lora_name": NAME, "strength_model": 1.0}
    with caplog.at_level(logging.WARNING):
        found = sampled({"lora": graph.node("LoraLoaderModelOnly", **inputs)})
    assert "not loaded" not in caplog.text
    assert torch.equal(found, sampled(load(NAME, noise_levels="all", flow_strength=0.0)))


def test_a_damaged_one_is_told(tuned, load, sampled, folder):
    tensors, about = read(folder / NAME)
    save_file(tensors, folder / "damaged.safetensors", {**about, "flow_displacement": "AAAA"})
    with pytest.raises(NodeFailed, match=r"latent flow in a LoRA file cannot be read.*Tune the clip again"):
        sampled(load("damaged.safetensors"))


def test_a_clip_whose_motion_is_thinned_out_keeps_its_whole_flow(tune, folder, pack):
    """Not that of the frames which are left."""
    options = {"latent_flow": True, "half_steps": 0}
    for sparse in ("latents", "frames"):
        model = tune(filename_prefix=f"loras/{sparse}", options={**options, "sparse": sparse}).got["model"]
        assert guidance(model).flow.grid.frames == 3
