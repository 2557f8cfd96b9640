"""The bench in a real host: few steps, so only that methods run, are judged and kept."""

from vmt.bench.cases import bench_cases
from vmt.bench.runs import BenchRuns
from vmt.demo import api_graph
from vmt.demo.run import WORKFLOW
from vmt.demo.transfer_runs import changed

QUICK = [f"VMT_MotionGuidanceSampler.{setting}" for setting in ("steps=4", "inner_steps=1")]
METHODS = ("vae_round_trip", "unguided", "balanced", "shuffled_frames", "unrelated_reference")


def test_methods_run_are_judged_and_kept(server, tmp_path):
    case, other = bench_cases("single_object", 2)
    workflow = changed(api_graph.load(WORKFLOW), QUICK)
    with BenchRuns(tmp_path, server=server, workflow=workflow) as runs:
        results = {name: runs.result(name, case, other) for name in METHODS}
    assert [result.skipped for result in results.values()] == [""] * len(METHODS)
    figures = {name: result.figures for name, result in results.items()}
    ceiling = figures["vae_round_trip"]
    assert ceiling["centred_correlation"] > 0.98 and ceiling["located_correlation"] > 0.9 and ceiling["colour_right"]
    assert figures["unguided"]["leakage"] == 0
    assert len({(f["flicker"], f["warp_error"]) for f in figures.values()}) == len(METHODS)
    videos = {name: (tmp_path / name / f"{case.name}.mp4").read_bytes() for name in METHODS}

    for name in METHODS:  # a second time: the figures are gone, the videos are not
        (tmp_path / name / f"{case.name}.json").unlink()
    with BenchRuns(tmp_path, workflow=workflow) as runs:  # starts no host
        assert {name: runs.result(name, case, other).figures for name in METHODS} == figures
    assert {name: (tmp_path / name / f"{case.name}.mp4").read_bytes() for name in METHODS} == videos
