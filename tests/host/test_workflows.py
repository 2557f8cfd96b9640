"""The shipped workflows against a running ComfyUI: what the page opens, what the API runs, and that both say the same.

`workflows/NAME.json` is for the page; `workflows/api/NAME.api.json`, without the prefix `vmt_`, for the API. That the
page itself reads and exports them so is shown by tests/web.
"""

import json
import shutil

import pytest

from vmt.demo import api_graph, demo_graph
from vmt.demo.reference_clip import write_reference
from vmt.guidance.presets import PRESETS
from vmt.launch import CLONE
from vmt.video import read_video

WORKFLOWS = sorted((CLONE / "workflows").glob("*.json"))
NOTES = {"MarkdownNote", "Note"}  # exist in the page alone
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"}
# What a user downloads; everything else that a workflow names comes with ComfyUI or with this pack.
DOWNLOADED = {
    "diffusion_models": "wan2.1_t2v_1.3B_fp16.safetensors",
    "text_encoders": "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "vae": "wan_2.1_vae.safetensors",
}

each_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
# Not of one length: what the host has in its cache from one workflow it would not show for the next.
on_the_demo_model = pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("demo", 5),
        ("motion_guidance_ksampler", 9),
        ("measure_transfer", 13),
        ("frame_difference_pull", 17),
        ("key_value_injection", 29),
        ("tune_motion_lora", 21),
        ("use_motion_lora", 25),
        ("few_steps", 33),
        ("tune_on_guided_videos", 33),
    ],
)


def ui_form(file):
    return json.loads(file.read_text(encoding="utf-8"))


def api_form(file):
    name = file.stem.removeprefix("vmt_")
    return api_graph.load(file.parent / "api" / f"{name}.api.json")


@pytest.fixture(scope="module")
def nodes(server):
    """The host's description of every node: inputs in their order, types, options, outputs."""
    return server.get("/object_info")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The clip that the workflows name, as `demo` writes it."""
    return write_reference(tmp_path_factory.mktemp("clip") / "reference.mp4")


def declared_inputs(info):
    """name -> (type, options), in the order of the node's sockets and widgets."""
    groups = [info["input"].get(group, {}) for group in ("required", "optional")]
    found = {name: (entry[0], entry[1] if len(entry) > 1 else {}) for group in groups for name, entry in group.items()}
    ordered = [name for group in ("required", "optional") for name in info["input_order"].get(group, [])]
    return {name: found[name] for name in ordered}


def widget_names(info):
    """The values of a node in the order in which the page saves them."""
    names = []
    for name, (kind, options) in declared_inputs(info).items():
        if not isinstance(kind, list) and (kind not in WIDGETS or options.get("forceInput")):
            continue
        names.append(name)
        if kind == "INT" and options.get("control_after_generate", name in ("seed", "noise_seed")):
            names.append("control_after_generate")
    if any(options.get("video_upload") for _, options in declared_inputs(info).values()):
        names.append("upload")
    return names


def exported(ui, nodes):
    """What the page's Export (API) gives for a UI-form workflow, node titles left out."""
    origin = {link[0]: [str(link[1]), link[2]] for link in ui["links"]}
    graph = {}
    for node in ui["nodes"]:
        if node["type"] in NOTES:
            continue
        info, values = nodes[node["type"]], node.get("widgets_values", [])
        names = widget_names(info)
        # Optional widgets that a newer host puts behind those of the older one keep their defaults.
        names, further = names[: len(values)], names[len(values) :]
        assert len(names) == len(values), f"node {node['id']} saves {values} for {names}"
        assert set(further) <= set(info["input"].get("optional", {})), f"node {node['id']} saves nothing for {further}"
        assert not (further and node["type"].startswith("VMT_")), f"node {node['id']} saves nothing for {further}"
        inputs = dict(zip(names, values, strict=True))
        inputs = {name: inputs[name] for name in inputs if name not in ("control_after_generate", "upload")}
        inputs |= {slot["name"]: origin[slot["link"]] for slot in node["inputs"] if slot["link"] is not None}
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return graph


@each_workflow
def test_both_forms_say_the_same(file, nodes):
    api = {key: {"class_type": node["class_type"], "inputs": node["inputs"]} for key, node in api_form(file).items()}
    assert exported(ui_form(file), nodes) == api


def test_each_form_has_its_other_form():
    expected = {f"{file.stem.removeprefix('vmt_')}.api.json" for file in WORKFLOWS}
    assert WORKFLOWS and {file.name for file in (CLONE / "workflows" / "api").iterdir()} == expected


@each_workflow
def test_nodes_exist_and_links_fit(file, nodes):
    ui = ui_form(file)
    by_id = {node["id"]: node for node in ui["nodes"]}
    assert {node["type"] for node in ui["nodes"]} - NOTES <= set(nodes)
    for number, origin, output, target, slot, kind in ui["links"]:
        made, taken = by_id[origin]["outputs"][output], by_id[target]["inputs"][slot]
        assert number in made["links"] and taken["link"] == number
        info = nodes[by_id[origin]["type"]]
        assert (info["output_name"][output], info["output"][output]) == (made["name"], made["type"])
        wanted = declared_inputs(nodes[by_id[target]["type"]])[taken["name"]][0]
        assert kind == made["type"] == taken["type"] == wanted
    linked = [link for node in ui["nodes"] for slot in node.get("outputs", []) for link in slot["links"] or []]
    assert sorted(linked) == sorted(link[0] for link in ui["links"])


@each_workflow
def test_api_form_names_no_input_that_the_node_lacks(file, nodes):
    for node in api_form(file).values():
        declared = declared_inputs(nodes[node["class_type"]])
        required = set(nodes[node["class_type"]]["input"].get("required", {}))
        assert required <= set(node["inputs"]) <= set(declared), node["class_type"]


@each_workflow
def test_host_accepts_every_value(file, host, clip):
    # The host's own check: options of lists, ranges, types of links, required inputs, and our node's own for the file.
    shutil.copy(clip, host.base / "input")
    for folder, name in DOWNLOADED.items():
        (host.base / "models" / folder).mkdir(parents=True, exist_ok=True)
        (host.base / "models" / folder / name).touch()
    checked = host.loop.run_until_complete(host.execution.validate_prompt(file.stem, api_form(file), None))
    valid, error, outputs, node_errors = checked
    assert valid, (error, node_errors)
    # Without this a wrong branch would only be left out of the run.
    assert not node_errors and outputs


@each_workflow
def test_model_files_are_ours_or_can_be_downloaded(file):
    for node in ui_form(file)["nodes"]:
        names = [value for value in node.get("widgets_values", []) if str(value).endswith(".safetensors")]
        models = node["properties"].get("models", [])
        assert [model["name"] for model in models] == [name for name in names if name in DOWNLOADED.values()]
        for model in models:
            assert DOWNLOADED[model["directory"]] == model["name"]
            assert model["url"].startswith("https://huggingface.co/Comfy-Org/")
            assert model["url"].endswith(f"/{model['directory']}/{model['name']}")
        for name in set(names) - set(DOWNLOADED.values()):
            assert list((CLONE / "vmt" / "demo" / "weights").rglob(name)), f"{name} does not come with this pack"


@each_workflow
def test_new_video_has_the_reference_size_and_length(file):
    graph = api_form(file)
    if not api_graph.find(graph, "VMT_LoadReferenceVideo"):
        pytest.skip("a motion that was learned needs no reference")
    loader = api_graph.only(graph, "VMT_LoadReferenceVideo")
    latent = graph[api_graph.only(graph, "EmptyHunyuanLatentVideo")]["inputs"]
    reference = graph[loader]["inputs"]
    assert latent["length"] == [loader, 2]
    assert (latent["width"], latent["height"]) == (reference["width"], reference["height"])
    assert reference["frames"] % 4 == 1 and reference["width"] % 16 == reference["height"] % 16 == 0


@each_workflow
def test_some_steps_are_guided(file):
    graph = api_form(file)
    shift = graph[api_graph.only(graph, "ModelSamplingSD3")]["inputs"]["shift"]
    guiding = [
        node["inputs"]
        for node in graph.values()
        if "sigma_end" in node["inputs"] and node["class_type"] != "VMT_TunerOptions"
    ]
    if not guiding and (api_graph.find(graph, "VMT_DecoupledLoraTuner") or api_graph.find(graph, "VMT_LoadMotionLora")):
        pytest.skip("what is tuned into the model needs no steps of its own")
    [sampling] = {node["inputs"]["steps"] for node in graph.values() if "sampler_name" in node["inputs"]}
    linear = [1 - step / sampling for step in range(sampling)]  # the scheduler `simple`
    sigmas = [shift * level / (1 + (shift - 1) * level) for level in linear]
    [ranges] = map(guided_ranges, guiding)
    assert ranges
    for end, start in ranges:
        assert sum(end <= sigma <= start for sigma in sigmas) >= 3


def guided_ranges(inputs):
    """(last, first) noise level of each signal that guides; the widgets beside a preset do not change its own."""
    if inputs.get("preset") not in PRESETS:
        return [(inputs["sigma_end"], inputs.get("sigma_start", 1))]
    preset = PRESETS[inputs["preset"]]
    return [(c.sigma_end, c.sigma_start) for c in (preset.attention, preset.latent) if not c.is_off]


def test_every_node_of_the_pack_is_in_a_workflow(nodes):
    ours = {name for name in nodes if name.startswith("VMT_")}
    assert ours == {node["type"] for file in WORKFLOWS for node in ui_form(file)["nodes"] if node["type"] in ours}


def test_template_browser_lists_and_gets_them(server):
    [[pack, names]] = server.get("/workflow_templates").items()
    assert sorted(names) == [file.stem for file in WORKFLOWS]
    for file in WORKFLOWS:
        assert server.get(f"/api/workflow_templates/{pack}/{file.name}") == ui_form(file)
        if file.with_suffix(".jpg").exists():
            assert server.request(f"/api/workflow_templates/{pack}/{file.stem}.jpg").startswith(b"\xff\xd8")


@on_the_demo_model
def test_workflow_makes_its_videos(name, frames, server, clip, tmp_path):
    graph = api_graph.load(CLONE / "workflows" / "api" / f"{name}.api.json")
    small = {"frames": frames, "length": frames, "width": 64, "height": 64}
    small |= {"spatial_steps": 4, "half_steps": 4, "temporal_steps": 4}
    for node in graph.values():
        links = {key for key, value in node["inputs"].items() if isinstance(value, list)}
        node["inputs"] |= {key: small[key] for key in small.keys() & node["inputs"].keys() - links}
    for loader in api_graph.find(graph, "VMT_LoadReferenceVideo"):
        graph = api_graph.with_input(graph, loader, "file", server.upload(clip))
    result = server.run(graph, timeout=500)
    videos = {}
    for save in api_graph.find(graph, "SaveVideo"):
        path = server.save(result.files(save)[0], tmp_path / f"{save}.mp4")
        is_guided = api_graph.is_guided(graph, save)
        videos[is_guided], fps = read_video(path)
        assert videos[is_guided].shape == (frames, 64, 64, 3) and fps == 16
    assert True in videos
    if False in videos:
        assert (videos[True] - videos[False]).abs().max() > 0.05, "guidance changed nothing"
    if api_graph.find(graph, "VMT_ExtractAMF"):
        assert result.files(api_graph.only(graph, "VMT_ExtractAMF")), "no picture of the motion"


def test_demo_command_finds_its_nodes():
    demo = demo_graph.read(api_graph.load(CLONE / "workflows" / "api" / "demo.api.json"))
    assert demo.filled("mine.mp4", "a red cross", 5).reference == "mine.mp4"
    assert demo.prompt and demo.full[demo.sampler]["class_type"] == "VMT_MotionGuidanceSampler"
    assert demo.reference_part() and demo.plain() and demo.guided()
