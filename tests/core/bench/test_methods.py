"""Each method's graph and reference, as far as they need no host; `tests/host/test_bench.py` runs them in one."""

from dataclasses import replace
from random import Random

import pytest
import torch

from vmt.bench import transfer
from vmt.bench.methods import NAMES, load
from vmt.bench.methods.method import as_they_are
from vmt.demo import api_graph, demo_graph
from vmt.demo.run import WORKFLOW
from vmt.demo.tuned_graph import TUNER_NODE, tuned
from vmt.errors import InputError
from vmt.flow_matching import shifted_sigmas
from vmt.guidance.config import GuidanceConfig
from vmt.guidance.presets import PRESETS

GUIDED = "VMT_MotionGuidanceSampler"


@pytest.fixture(scope="module")
def demo():
    return demo_graph.read(api_graph.load(WORKFLOW))


def classes(graph):
    return {node["class_type"] for node in graph.values()}


@pytest.mark.parametrize("name", NAMES)
def test_graph_makes_the_video_from_nodes_it_has(demo, name):
    before = str(demo.full)
    graph = load(name).graph(demo)
    assert demo.save in graph and graph[demo.save]["class_type"] == "SaveVideo"
    for node in graph.values():
        for value in node["inputs"].values():
            assert not (isinstance(value, list) and len(value) == 2) or value[0] in graph
    assert str(demo.full) == before, "the workflow itself stays as it was"
    method, guided = load(name), GUIDED in classes(graph)
    assert method.about and (TUNER_NODE in graph) == method.tunes
    if method.control:
        assert guided == (method.unrelated or method.reference is not as_they_are), "by another reference, or by none"
    if method.broken or name in PRESETS:
        assert guided
    if method.tunes or method.shows_reference or method.perfect:
        assert graph.get(demo.sampler, {}).get("class_type") != GUIDED


def test_controls_have_only_what_they_are_to_have(demo):
    plain = load("unguided").graph(demo)
    assert "KSampler" in classes(plain) and "VMT_WindowedInversion" not in classes(plain)
    ceiling = load("vae_round_trip").graph(demo)
    assert "UNETLoader" not in classes(ceiling) and {"VAEEncode", "VAEDecode"} <= classes(ceiling)
    assert load("perfect").graph(demo) == ceiling
    started = load("noised_start").graph(demo)
    assert started[demo.sampler]["inputs"]["denoise"] < 1 and "VAEEncode" in classes(started)
    assert plain[demo.sampler]["inputs"]["seed"] == started[demo.sampler]["inputs"]["seed"]


@pytest.mark.parametrize("name", [*PRESETS, "windowed_amf", "broken_centre", "fastvmt"])
def test_presets_reach_guidance_that_stands_on_the_model_line(name):
    workflow = demo_graph.read(api_graph.load(WORKFLOW.parent / "motion_guidance_ksampler.api.json"))
    graph = load(name).graph(workflow)
    guidance = graph[api_graph.only(graph, "VMT_MotionGuidance")]["inputs"]
    assert guidance["preset"] == (name if name in PRESETS else "custom")
    assert (graph[guidance["amf"][0]]["class_type"] == "VMT_BenchDropCentre") == (name == "broken_centre")
    assert "preset" not in graph[workflow.sampler]["inputs"]


@pytest.mark.parametrize(
    ("name", "spoiler", "spoiled"),
    [
        ("broken_heads", "VMT_BenchScrambleHeads", "VMT_ExtractAMF"),
        ("broken_exchange", "VMT_BenchExchangeHeadsAndTokens", "VMT_ExtractAMF"),
        ("broken_centre", "VMT_BenchDropCentre", GUIDED),
    ],
)
def test_what_is_broken_stands_between_two_nodes_of_the_workflow(demo, name, spoiler, spoiled):
    whole, graph = load("windowed_amf").graph(demo), load(name).graph(demo)
    ((between, node),) = ((key, node) for key, node in graph.items() if key not in whole)
    ((given, source),) = node["inputs"].items()
    reader = api_graph.only(graph, spoiled)
    assert (node["class_type"], graph[reader]["inputs"][given]) == (spoiler, [between, 0])
    assert source == whole[reader]["inputs"][given]


def test_presets(demo):
    graphs = {name: load(name).graph(demo) for name in NAMES}
    told = {
        n: graph[demo.sampler]["inputs"]["preset"]
        for n, graph in graphs.items()
        if GUIDED in classes(graph) and not load(n).tunes
    }
    for name, preset in told.items():
        if load(name).control:
            assert preset == "balanced"
        elif load(name).broken or name in ("dense_amf", "dense_amf_key_values", "windowed_amf", "fastvmt"):
            assert preset == "custom"
        else:
            assert preset in ("custom", *PRESETS)
    assert {name: told[name] for name in PRESETS} == {name: name for name in PRESETS}
    assert sum(load(name).control for name in told) >= 4


def test_dense_flow_looks_everywhere(demo):
    inputs = next(n["inputs"] for n in load("dense_amf").graph(demo).values() if n["class_type"] == "VMT_ExtractAMF")
    assert inputs["radius"] == -1 and inputs["span"] >= 8


@pytest.mark.parametrize("side, radius", [(128, 3), (480, 10)])
def test_fastvmt_is_what_its_paper_says(demo, side, radius):
    full = api_graph.with_input(demo.full, demo.loader, "height", side)
    graph = load("fastvmt").graph(replace(demo, full=api_graph.with_input(full, demo.loader, "width", 832)))
    sampler = graph[demo.sampler]["inputs"]
    options = graph[sampler["options"][0]]["inputs"]
    asked = GuidanceConfig(
        **{name: sampler[name] for name in ("strength", "sigma_end", "inner_steps", "recompute_every", "look_ahead")},
        **{name: options[name] for name in ("update", "strength_decay", "window_share")},
    )
    # Ten steps of Adam, .003 falling to .0021, the first gradient of every three; the first fifth of the run.
    assert [round(asked.step_size(j), 4) for j in (0, 9)] == [0.003, 0.0021]
    assert (asked.update, asked.recompute_every, asked.window_share, asked.look_ahead) == ("adam", 3, 0.2, False)
    levels = shifted_sigmas(sampler["steps"], 5.0).tolist()[:-1]
    assert asked.guided_levels(levels) == levels[:3] and sampler["steps"] == 16
    flow = graph[api_graph.only(graph, "VMT_ExtractAMF")]["inputs"]
    assert {name: flow[name] for name in ("span", "radius", "centre", "weight", "target", "heads")} == {
        "span": 3, "radius": radius, "centre": "match", "weight": "none", "target": "soft", "heads": "mean_logits",
    }  # fmt: skip
    assert graph[api_graph.only(graph, "VMT_WindowedInversion")]["inputs"]["rope"] == "post"


def test_ditflow_attends_to_the_reference_in_the_model_that_samples(demo):
    graph = load("dense_amf_key_values").graph(demo)
    injection = graph[graph[demo.sampler]["inputs"]["model"][0]]
    assert injection["class_type"] == "VMT_KeyValueInjection"
    plain = load("dense_amf").graph(demo)
    assert injection["inputs"]["model"] == plain[demo.sampler]["inputs"]["model"]
    [inversion] = api_graph.find(graph, "VMT_WindowedInversion")
    assert injection["inputs"]["reference"] == graph[inversion]["inputs"]["reference"]


def test_references_are_what_their_names_say():
    frames = torch.arange(9.0)[:, None, None, None].expand(9, 2, 2, 3)
    order = {name: load(name).reference(frames, Random(1))[:, 0, 0, 0].tolist() for name in NAMES}
    assert order["reversed_reference"] == list(range(8, -1, -1)) and order["static_reference"] == [0] * 9
    assert order["shuffled_frames"] != list(range(9)) and sorted(order["shuffled_frames"]) == list(range(9))
    for name in ("balanced", "noised_start", "unrelated_reference", "vae_round_trip", "decoupled_lora"):
        assert order[name] == list(range(9))
    assert all(len(found) == 9 for found in order.values())
    assert load("unrelated_reference").unrelated and load("vae_round_trip").shows_reference and load("perfect").perfect
    assert not any(load("balanced").__dict__[field] for field in ("unrelated", "shows_reference", "perfect", "control"))


def test_what_is_broken_runs_only_where_it_is_named():
    broken, tuned = ({name for name in NAMES if getattr(load(name), kind)} for kind in ("broken", "tunes"))
    assert broken == {name for name in NAMES if name.startswith("broken_")} and len(broken) >= 2
    assert {"plain_lora", "dual_path", "stock_lora", "decoupled_lora"} <= tuned
    by_default = transfer._methods(transfer.parse([]))
    assert set(by_default) == set(NAMES) - broken - tuned and len(by_default) == len(set(by_default))


def test_tuned_models_learn_the_reference_and_its_caption(demo):
    demo = replace(demo, caption="a red cross on a plain grey ground")
    own = "decoupled_lora_own_heads", "decoupled", 0
    for name, heads, stride in (("decoupled_lora", "all", 0), own, ("plain_lora", "all", 1), ("dual_path", "all", 1)):
        graph = load(name).graph(demo)
        [tuner] = api_graph.find(graph, "VMT_DecoupledLoraTuner")
        inputs = graph[tuner]["inputs"]
        assert graph[demo.sampler]["inputs"]["model"] == [tuner, 0]
        assert graph[inputs["positive"][0]]["inputs"]["text"] == demo.caption != demo.prompt
        assert graph[inputs["frames"][0]]["class_type"] == "VMT_LoadReferenceVideo"
        options = graph[inputs["options"][0]]["inputs"]
        assert (options["heads"], options["stride"]) == (heads, stride)


def test_an_input_that_the_tuner_does_not_have_is_told():
    with pytest.raises(InputError, match=r"input of the tuner is 'strid'; .*stride, .* is allowed"):
        tuned(strid=1)


def test_parts_are_left_out_one_at_a_time(demo):
    def settings(name):
        graph = load(name).graph(demo)
        return graph[api_graph.only(graph, "VMT_TunerOptions")]["inputs"]

    published = {"decoupled_lora_whole_size", "decoupled_lora_video_frames"}  # of the paper's parts alone
    bases = {"decoupled_lora_no_flow", "decoupled_lora_level_7"}
    parts = [name for name in NAMES if name.startswith("decoupled_lora_") and name not in published | bases]
    for name in published:
        paper = {"half_steps": 0, "temporal_steps": 400, "sigma_end": 0, "heads": "decoupled", "rank": 16}
        assert paper.items() <= settings(name).items()
    alone = settings("decoupled_lora_no_flow")  # a part of the LoRA is seen where nothing guides beside it
    further_down = settings("decoupled_lora_level_7")
    assert settings("decoupled_lora") == {**alone, "latent_flow": True} and further_down == {**alone, "sigma_end": 0.7}
    assert settings("plain_lora_flow") == {**settings("plain_lora"), "latent_flow": True}
    changed = []
    for name in parts:
        base = further_down if settings(name)["sigma_end"] == 0.7 else alone
        changed.append({key for key, value in settings(name).items() if value != base[key]})
    # With fewer heads a larger rank, so that the size stays; of other steps as many as cost the same; of half as many a
    # higher rate.
    steps = {"half_steps", "temporal_steps"}
    together = (steps, steps | {"stride"}, steps | {"heads", "rank"}, {"half_steps", "learning_rate"})
    assert all(settings in together or len(settings) == 1 for settings in changed)
    assert {"heads", "motion_weight", "rope", "stride", "spatial_steps", "half_steps"} <= set().union(*changed)


def test_unknown_method_is_refused():
    with pytest.raises(InputError, match="balanced"):
        load("telepathy")


def test_steps_of_a_method_that_tunes(demo):
    for name, steps in (("plain_lora", "temporal_steps"), ("decoupled_lora", "half_steps")):
        whole, shorter = (load(told).graph(demo) for told in (name, f"{name}@50"))
        [options] = api_graph.find(shorter, "VMT_TunerOptions")
        assert shorter[options]["inputs"].pop(steps) == 50
        assert whole[options]["inputs"].pop(steps) in (400, -1)  # -1: as the preset
        assert shorter == whole and "50 steps" in load(f"{name}@50").about
    assert load("stock_lora@50").graph(demo)[TUNER_NODE]["inputs"]["steps"] == 50


@pytest.mark.parametrize("name", ["plain_lora@", "plain_lora@0", "plain_lora@-5", "plain_lora@4.5", "plain_lora@²"])
def test_steps_that_are_none_are_told(name):
    with pytest.raises(InputError, match=r"plain_lora@.* was asked for; NAME@N, N steps of 1 or more"):
        load(name)


def test_what_does_not_tune_has_no_steps():
    with pytest.raises(InputError, match=r"balanced does not tune and has no steps. Leave @50 out"):
        load("balanced@50")


@pytest.mark.parametrize("workflow", ["demo", "few_steps", "motion_guidance_ksampler"])
@pytest.mark.parametrize(
    "caption, prompt",
    [
        ("a blue circle on a plain brown ground", "a red square on a tiled grey ground"),
        ("a tiled navy ground", "a spotted navy ground"),
        ("a tiled navy ground", "a tiled teal ground"),
    ],
)
def test_guided_clips_are_of_other_prompts_and_are_made_once(workflow, caption, prompt):
    read = demo_graph.read(api_graph.load(WORKFLOW.parent / f"{workflow}.api.json"))
    demo = replace(read.filled("mine.mp4", prompt, 99), caption=caption)
    graph = load("guided_lora").graph(demo)
    clips = [graph[f"clip {number}"]["inputs"] for number in (1, 2, 3, 4)]
    texts = [graph[clip["positive"][0]]["inputs"]["text"] for clip in clips]
    assert len({*texts, prompt, caption}) == 6
    assert all((" on a " in text) == (" on a " in caption) for text in texts)
    assert graph[TUNER_NODE]["inputs"]["further_clips"] == ["clip 4", 0] and "further_clips" not in clips[0]
    assert [clip["further_clips"] for clip in clips[1:]] == [[f"clip {number}", 0] for number in (1, 2, 3)]
    made = api_graph.keep(graph, "clip 4")
    samplers = [node for node in made.values() if "sampler_name" in node["inputs"]]
    guides = [node["inputs"] for node in made.values() if "preset" in node["inputs"]]
    assert len(samplers) == 4 and {guide["preset"] for guide in guides} == {"free"}
    prompts = [made[node["inputs"]["positive"][0]]["inputs"]["text"] for node in samplers]
    assert sorted(prompts) == sorted(texts) and len(api_graph.find(made, "VMT_ExtractAMF")) == 1
    assert "mine.mp4" in str(made) and prompt not in str(made)
    again = load("guided_lora").graph(replace(demo, full=demo.filled(None, prompt, 7).full))
    assert api_graph.keep(again, TUNER_NODE) == api_graph.keep(graph, TUNER_NODE), "for another seed it is kept"
