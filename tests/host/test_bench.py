"""The bench in a real host: few steps, so only that methods run, are judged and kept."""

import json
import threading
import time

import pytest
import torch
from clip_files import TEXT, VISION, write_clip
from quick_runs import QUICK, SMALL

from vmt.bench import command, cost, cost_rows
from vmt.bench import runs as runs_module
from vmt.bench.cases import bench_cases
from vmt.bench.clip_models import ClipModels, clip_models
from vmt.bench.fake_wan import FakeWan
from vmt.bench.figure_tables import DIGITS, FigureTables
from vmt.bench.filmed import filmed_cases
from vmt.bench.methods import load
from vmt.bench.methods.method import Method
from vmt.bench.runs import BenchRuns, loading
from vmt.demo import api_graph
from vmt.demo.reference_clip import write_reference
from vmt.demo.run import WORKFLOW
from vmt.demo.sampling import shape_of_file
from vmt.demo.train import DIT_FILE, WEIGHTS
from vmt.demo.transfer_runs import changed
from vmt.demo.tuned_graph import tuned
from vmt.errors import InputError
from vmt.guidance.presets import PRESETS
from vmt.launch.server import Server
from vmt.signals.attention_flow import AttentionFlowConfig
from vmt.video import read_video, write_video

BROKEN = ("broken_centre", "broken_heads", "broken_exchange")
METHODS = ("vae_round_trip", "perfect", "unguided", "balanced", "unrelated_reference")


def untimed(figures):
    """Nested figures without the seconds, which are never the same."""
    if not isinstance(figures, dict):
        return figures
    return {name: untimed(value) for name, value in figures.items() if name != "seconds"}


def rounded(figures):
    return {
        name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for name, value in figures.items()
    }


def test_methods_run_are_judged_and_kept(server, tmp_path):
    case, other = bench_cases("single_object", 2)
    workflow = changed(api_graph.load(WORKFLOW), QUICK)
    tables = FigureTables(tmp_path / "tables")
    with BenchRuns(tmp_path, server=server, workflow=workflow, tables=tables) as runs:
        results = {name: runs.result(name, case, other) for name in METHODS}
    assert [result.skipped for result in results.values()] == [""] * len(METHODS)
    figures = {name: result.figures for name, result in results.items()}
    ceiling = figures["vae_round_trip"]
    assert ceiling["centred_correlation"] > 0.98 and ceiling["located_correlation"] > 0.9 and ceiling["colour_right"]
    perfect = figures["perfect"]
    assert perfect["centred_correlation"] > 0.98 and perfect["colour_right"] and perfect["leakage"] < 0.05
    assert figures["unguided"]["likeness_gain"] == 0 >= figures["unguided"]["leakage"]
    assert len({(f["flicker"], f["warp_error"]) for f in figures.values()}) == len(METHODS)
    videos = {name: (tmp_path / name / f"{case.name}.mp4").read_bytes() for name in METHODS}

    again = ("perfect", "unguided")  # a second time: the figures are gone, the videos are not
    for name in again:
        (tmp_path / name / f"{case.name}.json").unlink()
    with BenchRuns(tmp_path, workflow=workflow) as runs:  # starts no host
        assert {name: runs.result(name, case, other).figures for name in METHODS} == figures
    with BenchRuns(tmp_path / "another", workflow=workflow, tables=FigureTables(tmp_path / "tables")) as runs:
        known = {name: runs.result(name, case, other).figures for name in METHODS}  # nor does this
    assert known == {name: rounded(figures[name]) for name in METHODS}
    assert {name: (tmp_path / name / f"{case.name}.mp4").read_bytes() for name in METHODS} == videos


def test_a_host_that_dies_is_started_anew_and_a_case_that_kills_it_left_out(tmp_path, monkeypatch):
    """It dies of the first case once, of the second whenever that is run."""
    write_reference(tmp_path / "clip.mp4")
    listed = [{"video": "clip.mp4", "prompt": f"a {colour} cross"} for colour in ("red", "blue", "white")]
    (tmp_path / "cases.json").write_text(json.dumps(listed))
    workflow = changed(api_graph.load(WORKFLOW), QUICK + SMALL)
    cases = filmed_cases(tmp_path, loading(workflow))
    with BenchRuns(tmp_path / "out", workflow=workflow) as runs:
        hosts, doomed, run = [], [cases[0].name, cases[1].name, cases[1].name], Server.run

        def killed(server, graph, **options):
            hosts.append(server.process.pid)
            if doomed and doomed[0] == running:
                doomed.pop(0)
                threading.Thread(target=kill_when_it_runs, args=[server]).start()
            return run(server, graph, **options)

        monkeypatch.setattr(Server, "run", killed)
        results = []
        for case in cases:
            running = case.name
            results.append(runs.result("unguided", case, case))
    assert [result.figures is None for result in results] == [False, True, False]
    assert results[1].skipped.startswith("ComfyUI ended with status") and not doomed
    assert len(hosts) == 5 and len(set(hosts)) == 4 and hosts[1] == hosts[2]


def kill_when_it_runs(server):
    while not server.get("/queue")["queue_running"]:
        time.sleep(0.02)
    server.process._process.kill()


def test_further_prompts_cost_no_further_look_at_the_reference(server, tmp_path, monkeypatch):
    first, second, other = bench_cases("single_object", 2, prompts=2)[:3]
    workflow = changed(api_graph.load(WORKFLOW), QUICK + SMALL)
    with BenchRuns(tmp_path, server=server, workflow=workflow) as runs:
        for case in (first, second):
            runs.make_unguided(case, other)
        told = [runs._made("balanced", load("balanced"), case, other)["nodes"] for case in (first, second)]
        monkeypatch.setattr(runs, "_host", lambda: pytest.fail("an unguided video is made again"))
        assert not torch.equal(*(runs._unguided(case, other) for case in (first, second)))
    looks = {"VAE Encode", "Windowed Inversion", "Extract AMF"}
    ran = [{api_graph.title(workflow, node) for node in nodes} & looks for nodes in told]
    assert ran == [looks, set()]


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A host of the bench's own, which counts; 9 frames of 64x64 in 4 steps with two prompts each."""
    workflow = changed(api_graph.load(WORKFLOW), QUICK + SMALL)
    with BenchRuns(tmp_path_factory.mktemp("counting"), workflow=workflow) as runs:
        yield runs


def test_compute_of_the_methods_is_counted(counting):
    """What a preset adds is what `bench cost` says of it."""
    case, other = bench_cases("single_object", 2)
    counting.make_unguided(case, other)  # what the host has kept of it must not be missing
    told = {
        name: counting.compute(name, "single_object", [(case, other)])
        for name in ("unguided", *PRESETS, "windowed_amf", *BROKEN)
    }
    assert (told["unguided"]["forwards"], told["unguided"]["backwards"]) == (8, 0)
    sigmas = [5 * s / (1 + 4 * s) for s in (1, 0.75, 0.5, 0.25)]
    wan = FakeWan(shape_of_file(WEIGHTS / DIT_FILE), (2, 8, 8))
    for name, preset in PRESETS.items():
        expected = cost_rows.guided(wan, sigmas, 2, preset, cost.BLOCKS["demo"], AttentionFlowConfig(), "none")
        assert told[name]["forwards"] == pytest.approx(expected.forwards)
        # The gradient that ends in the tapped block counts there as passing it.
        looks = len(preset.attention.guided_levels(sigmas)) * preset.attention.inner_steps
        assert told[name]["backwards"] == pytest.approx(expected.backwards + looks / wan.shape.blocks)
    for name in BROKEN:  # what is broken is not how much is computed
        assert all(told[name][key] == told["windowed_amf"][key] for key in ("forwards", "backwards"))
    flops = [told[name]["flops"] for name in ("unguided", "free", "balanced", "quality")]
    assert flops == sorted(flops) and flops[0] > 0


def test_a_tuning_is_counted_whatever_was_tuned_before(counting, monkeypatch):
    case, other = bench_cases("single_object", 2)
    short = Method("three steps", tuned(spatial_steps=1, half_steps=0, temporal_steps=2), tunes=True)
    monkeypatch.setattr(runs_module, "load", lambda name: short)
    told = []
    for name in ("before", "after"):
        told.append(counting.compute(name, "single_object", [(case, other)]))
        counting._made(name, short, case, other)
    assert told[0] == told[1] and told[0]["forwards"] >= 8 + 3 and told[0]["backwards"] > 1


def test_a_clip_of_the_users_judges_too(host, server, tmp_path):
    """`host` writes the CLIP; `server`, a ComfyUI with folders of its own, is the one that runs."""
    write_clip(server.process.base / "models")
    write_reference(tmp_path / "clip.mp4")
    (tmp_path / "cases.json").write_text(json.dumps([{"video": "clip.mp4", "prompt": "a red cross"}]))
    workflow = changed(api_graph.load(WORKFLOW), [*SMALL, "VMT_LoadReferenceVideo.frames=5", QUICK[0]])
    (case,) = filmed_cases(tmp_path, loading(workflow))
    with BenchRuns(tmp_path / "out", server=server, workflow=workflow, clip=ClipModels(VISION, TEXT)) as runs:
        figures = runs.result("unguided", case, case).figures
        ceiling = runs.result("vae_round_trip", case, case).figures
    assert ceiling["clip_text_alignment"] is None  # it shows the reference, and nobody has said what that is
    assert 0 < ceiling["clip_frame_consistency"] < 1
    assert 0 < figures["clip_frame_consistency"] < 1 and -1 < figures["clip_text_alignment"] < 1
    told = json.loads((tmp_path / "out" / "unguided" / f"{case.name}.run.json").read_text())
    assert figures["seconds"] == told["seconds"] and "clip metrics" not in told["nodes"]  # no part of the run's time
    with pytest.raises(InputError, match="without --clip-vision"):
        clip_models(None, TEXT)
    for missing in (ClipModels("nowhere"), ClipModels(VISION, "nowhere")):
        with (
            pytest.raises(InputError, match="nowhere is none of the host's models"),
            BenchRuns(tmp_path / "none", server=server, clip=missing),
        ):
            pass


def test_a_folder_of_clips_is_run_and_what_cannot_be_is_told(tmp_path, capsys):
    clips = tmp_path / "clips"
    clips.mkdir()
    frames, fps = read_video(write_reference(clips / "good.mp4"))
    write_video(clips / "one_frame.mp4", frames[:1], fps)
    write_video(clips / "odd.mp4", frames[:29, :, :94], 30)  # another length, size and rate
    (clips / "broken.mp4").write_bytes(b"no video")
    listed = [{"video": f"{name}.mp4", "prompt": "a red cross"} for name in ("broken", "good", "one_frame", "odd")]
    listed.append({"video": "good.mp4"})
    (clips / "cases.json").write_text(json.dumps(listed))
    (tmp_path / "workflow.json").write_text(json.dumps(changed(api_graph.load(WORKFLOW), QUICK + SMALL)))
    options = ["--clips", str(clips), "--workflow", str(tmp_path / "workflow.json"), "--methods", "balanced"]
    options += ["--no-controls", "--seeds", "2"]
    options += ["--out", str(tmp_path / "out"), "--html", str(tmp_path / "page")]
    assert command.main(["transfer", *options]) == 0
    report = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert report["absent"]["clip_frame_consistency"].startswith("no CLIP vision model")
    assert report["split"] is None and report["model"] == "vmt_demo_wan_t2v.safetensors"
    for method in ("unguided", "balanced"):
        diversity = report["methods"][method]["diversity"]  # told of any result, however little can be followed in it
        assert diversity["n"] == 2 and diversity["mean"] > 0 and report["methods"][method]["flops"] > 0
        skipped = report["categories"]["filmed"]["skipped"][method]
        assert sorted(skipped) == ["filmed-000", "filmed-002", "filmed-004"]
        assert skipped["filmed-004"].startswith("Case 4 of cases.json is")
        assert "broken.mp4" in skipped["filmed-000"] and "one_frame.mp4" in skipped["filmed-002"]
    assert "Left out: balanced on filmed-000" in capsys.readouterr().out
    assert (tmp_path / "page" / "filmed-003.jpg").exists() and not (tmp_path / "page" / "filmed-000.jpg").exists()

    again = [*options[: options.index("--out")], "--out", str(tmp_path / "again")]
    assert command.main(["transfer", *again]) == 0
    repeated = json.loads((tmp_path / "again" / "transfer.json").read_text())
    assert untimed(repeated["methods"]) == untimed(report["methods"]), "bit for bit the same"
