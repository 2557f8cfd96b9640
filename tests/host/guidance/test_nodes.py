"""The nodes as the host lists them: defaults, help for every input, pictures, masks."""

import dataclasses
from pathlib import Path

import pytest
import torch

from vmt.launch import CLONE

OURS = ["VMT_WindowedInversion", "VMT_ExtractAMF", "VMT_MotionGuidance", "VMT_MotionGuidanceSampler",
        "VMT_GuidanceOptions"]  # fmt: skip
DOCS = Path(CLONE) / "web" / "docs"


@pytest.fixture
def inputs_of(host):
    """inputs_of(node id) -> {input name: its options}."""

    def read(node_id):
        info = host.nodes.NODE_CLASS_MAPPINGS[node_id].GET_NODE_INFO_V1()
        groups = [info["input"].get(kind, {}) for kind in ("required", "optional")]
        return {name: (spec[1] if len(spec) > 1 else {}) for group in groups for name, spec in group.items()}

    return read


def test_defaults_are_those_of_the_settings(inputs_of, pack):
    guidance = pack("vmt.guidance.config").GuidanceConfig()
    flow = pack("vmt.signals.attention_flow").AttentionFlowConfig()
    checked, of_presets = set(), {"blocks": "all", "size": "auto"}
    for node_id in ("VMT_MotionGuidance", "VMT_MotionGuidanceSampler", "VMT_GuidanceOptions", "VMT_ExtractAMF"):
        for name, options in inputs_of(node_id).items():
            for config in (guidance, flow):
                value = getattr(config, name, None)
                if value is not None and "default" in options and name not in of_presets:
                    assert options["default"] == value, (node_id, name)
                    checked.add(name)
    fields = {field.name for config in (guidance, flow) for field in dataclasses.fields(config)}
    assert fields - checked == {*of_presets, "tile", "head_indices"}, (
        "tile is two inputs; the others stay at their default"
    )
    rare = inputs_of("VMT_GuidanceOptions")
    assert {name: rare[name]["default"] for name in of_presets} == of_presets
    extract = inputs_of("VMT_ExtractAMF")
    assert (extract["tile_rows"]["default"], extract["tile_columns"]["default"]) == flow.tile


@pytest.mark.parametrize("node_id", OURS)
def test_every_input_has_a_tooltip_and_the_node_a_help_page(inputs_of, host, node_id):
    for name, options in inputs_of(node_id).items():
        assert len(options.get("tooltip", "")) > 10, name
    info = host.nodes.NODE_CLASS_MAPPINGS[node_id].GET_NODE_INFO_V1()
    assert info["category"] == "VMT" and len(info["description"]) > 30
    page = (DOCS / f"{node_id}.md").read_text(encoding="utf-8")
    for name in inputs_of(node_id):
        assert f"**{name}**" in page, f"the help page says nothing of {name}"


def test_the_demo_weights_are_among_the_stock_models(host):
    import folder_paths

    for kind in ("diffusion_models", "vae"):
        folders = [Path(folder) for folder in folder_paths.get_folder_paths(kind)]
        assert any(folder.parts[-4:] == ("vmt", "demo", "weights", kind) for folder in folders)


@pytest.mark.parametrize("frames", [None, (9, 64, 64, 3)])
@pytest.mark.parametrize("style", ["arrows", "colour"])
def test_picture(executor, graph, given, frames, style):
    """One picture per pair of neighbouring latent frames, shown on the node too."""
    extract, give = {"picture": style}, dict(given)
    if frames:
        give["frames"] = torch.rand(frames)
        extract["reference_frames"] = ["frames", 0]
    executor.forget()  # a kept result shows nothing again
    nodes = graph.loader() | graph.amf(extract=extract)
    result = executor.run(nodes, want={"picture": ["amf", 1]}, give=give)
    picture = result.got["picture"]
    assert picture.ndim == 4 and picture.shape[0] == 2 and picture.shape[3] == 3
    assert 0 <= picture.min() and picture.max() <= 1 and picture.std() > 0.01
    assert len(result.files("amf")) == 2


def test_mask_on_tokens(pack):
    grid = pack("vmt.token_grid").TokenGrid(3, 4, 6)
    mask_on_tokens = pack("nodes.region_mask").mask_on_tokens
    mask = torch.zeros(1, 64, 96)
    mask[:, 16:32, 80:96] = 1  # token (1, 5)
    mask[:, 32:40, 0:16] = 1  # the upper half of token (2, 0)
    tokens = mask_on_tokens(mask, grid)
    expected = torch.zeros(4, 6)
    expected[1, 5], expected[2, 0] = 1, 0.5
    assert torch.equal(tokens, expected)

    frames = torch.zeros(9, 64, 96)
    frames[0], frames[5], frames[6] = 0.25, 1, 1
    per_latent_frame = mask_on_tokens(frames, grid)
    assert per_latent_frame.shape == (3, 4, 6)
    assert per_latent_frame[:, 0, 0].tolist() == [0.25, 0, 0.5], "frame 0 alone, then 1 to 4, then 5 to 8"
    assert mask_on_tokens(torch.ones(3, 10, 10), grid).shape == (3, 4, 6)
    assert mask_on_tokens(torch.ones(64, 96), grid).shape == (4, 6)
