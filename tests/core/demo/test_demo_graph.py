"""The graphs that the demo makes of its workflow. A small one of the same form stands in for it."""

import copy
import json

import pytest

from vmt.demo import api_graph, demo_graph
from vmt.errors import InputError


@pytest.fixture
def graph():
    def node(class_type, **inputs):
        return {"class_type": class_type, "inputs": inputs, "_meta": {"title": f"my {class_type}"}}

    sampling = {
        "model": ["unet", 0], "positive": ["text", 0], "negative": ["empty", 0], "latent_image": ["latent", 0],
        "seed": 7, "steps": 20, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
    }  # fmt: skip
    return {
        "unet": node("UNETLoader", unet_name="demo.safetensors", weight_dtype="default"),
        "vae": node("VAELoader", vae_name="demo.safetensors"),
        "words": node("VMT_DemoTextEncoder"),
        "text": node("CLIPTextEncode", clip=["words", 0], text="a blue star"),
        "empty": node("CLIPTextEncode", clip=["words", 0], text=""),
        "load": node("VMT_LoadReferenceVideo", file="demo.mp4", frames=33),
        "encode": node("VAEEncode", pixels=["load", 0], vae=["vae", 0]),
        "look": node("VMT_WindowedInversion", model=["unet", 0], reference=["encode", 0], positive=["empty", 0]),
        "amf": node("VMT_ExtractAMF", features=["look", 0], reference_frames=["load", 0]),
        "show": node("PreviewImage", images=["amf", 1]),
        "latent": node("EmptyHunyuanLatentVideo", width=128, height=128, length=["load", 2], batch_size=1),
        "sample": node("VMT_MotionGuidanceSampler", **sampling, amf=["amf", 0], strength=0.04),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["vae", 0]),
        "video": node("CreateVideo", images=["decode", 0], fps=["load", 1]),
        "save": node("SaveVideo", video=["video", 0], filename_prefix="vmt", format="auto", codec="auto"),
    }


def test_values_are_read_and_filled_without_touching_the_original(graph):
    before = copy.deepcopy(graph)
    demo = demo_graph.read(graph)
    assert (demo.prompt, demo.seed, demo.reference) == ("a blue star", 7, "demo.mp4")
    filled = demo.filled("mine.mp4", "a red cross", 2**64 - 1)
    assert (filled.prompt, filled.seed, filled.reference) == ("a red cross", 2**64 - 1, "mine.mp4")
    assert filled.full["empty"]["inputs"]["text"] == ""
    assert demo.filled(None, None, None).full == demo.full
    assert graph == before


def test_plain_graph_differs_in_the_sampler_alone(graph):
    demo = demo_graph.read(graph)
    plain, guided = demo.plain(), demo.guided()
    assert guided == graph
    assert set(plain) == set(guided)
    assert [node_id for node_id in plain if plain[node_id] != guided[node_id]] == ["sample"]
    assert plain["sample"]["class_type"] == "KSampler"
    assert set(plain["sample"]["inputs"]) == set(api_graph.KSAMPLER_INPUTS)
    assert plain["sample"]["inputs"]["seed"] == 7


def test_reference_part_needs_no_prompt_and_no_sampler(graph):
    part = demo_graph.read(graph).reference_part()
    assert set(part) == {"unet", "vae", "words", "empty", "load", "encode", "look", "amf", "show"}
    assert all(part[node_id] == graph[node_id] for node_id in part)


def test_model_patch_is_bridged(graph):
    inputs = {name: graph["sample"]["inputs"][name] for name in api_graph.KSAMPLER_INPUTS}
    graph["sample"] = {"class_type": "KSampler", "inputs": {**inputs, "model": ["patch", 0]}}
    graph["patch"] = {"class_type": "VMT_MotionGuidance", "inputs": {"model": ["unet", 0], "amf": ["amf", 0]}}
    demo = demo_graph.read(graph)
    assert demo.sampler == "sample" and "patch" in demo.guided()
    assert "patch" not in demo.plain() and demo.plain()["sample"]["inputs"]["model"] == ["unet", 0]


def test_picture_is_shown_also_where_the_workflow_does_not(graph):
    del graph["show"]
    demo = demo_graph.read(graph)
    assert demo.reference_part()[demo.picture] == {"class_type": "PreviewImage", "inputs": {"images": ["amf", 1]}}


def test_unguided_branch_in_the_workflow_is_no_hindrance(graph):
    for name in ("decode", "video", "save"):
        graph[f"plain {name}"] = copy.deepcopy(graph[name])
    graph["plain"] = {"class_type": "KSampler", "inputs": {**graph["sample"]["inputs"], "model": ["unet", 0]}}
    graph["plain decode"]["inputs"]["samples"] = ["plain", 0]
    graph["plain video"]["inputs"]["images"] = ["plain decode", 0]
    graph["plain save"]["inputs"]["video"] = ["plain video", 0]
    demo = demo_graph.read(graph)
    assert demo.save == "save" and "plain" not in demo.guided()


@pytest.mark.parametrize(
    ("removed", "said"),
    [("save", "0 Save Video nodes after a guided sampler"), ("load", "0 nodes VMT_LoadReferenceVideo")],
)
def test_workflow_of_another_form_is_refused(graph, removed, said):
    del graph[removed]
    with pytest.raises(InputError, match=said):
        demo_graph.read(graph)


def test_ui_form_and_broken_files_are_refused(tmp_path, graph):
    file = tmp_path / "flow.json"
    for text in ('{"nodes": [], "links": []}', "[1]", "3"):
        file.write_text(text)
        with pytest.raises(InputError, match=r"Export \(API\)"):
            api_graph.load(file)
    file.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        api_graph.load(file)
    file.write_text(json.dumps(graph))
    assert api_graph.load(file) == graph
    assert api_graph.title(graph, "save") == "my SaveVideo"
