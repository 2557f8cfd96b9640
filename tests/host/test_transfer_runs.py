"""The transfer evaluation in a real host: few steps, so only that every row runs and is scored."""

import math

from quick_runs import QUICK

from vmt.demo import api_graph, sweep
from vmt.demo.run import WORKFLOW
from vmt.demo.transfer_cases import transfer_cases
from vmt.demo.transfer_runs import ROWS, TUNES, TransferRuns

QUICK_ROWS = [name for name in ROWS if name not in TUNES]


def test_rows_differ_and_are_kept(server, tmp_path):
    case = transfer_cases(1)[0]
    with TransferRuns(tmp_path, server=server) as runs:
        scores = {name: runs.scores(case, 0, name, settings=QUICK) for name in QUICK_ROWS}
    assert {path.parent.name for path in tmp_path.glob("*/case-000.json")} == set(QUICK_ROWS)
    for score in scores.values():
        assert -1 <= score["correlation"] <= 1 and score["seconds"] > 0 and math.isfinite(score["seconds"])
    seen = {(score["correlation"], score["one_object"], score["path_distance"]) for score in scores.values()}
    assert len(seen) == len(QUICK_ROWS)
    assert server.get("/queue")["queue_running"] == [], "a server that was given stays as it was, and runs on"


def test_host_accepts_every_setting_of_the_sweep(server):
    known = server.get("/object_info")
    for settings in sweep.SETTINGS.values():
        for setting in settings:
            place, value = setting.split("=")
            node, name = place.split(".")
            kind, options = {**known[node]["input"]["required"], **known[node]["input"].get("optional", {})}[name][:2]
            if kind == "COMBO" or isinstance(kind, list):
                assert value in (options["options"] if kind == "COMBO" else kind), setting
            elif kind in ("INT", "FLOAT"):
                assert options["min"] <= float(value) <= options["max"], setting


def test_options_put_into_a_workflow_are_those_of_the_node(server):
    graph = api_graph.with_options(api_graph.load(WORKFLOW))
    info = server.get("/object_info")[api_graph.OPTIONS]["input"]
    declared = {**info["required"], **info["optional"]}
    given = graph[api_graph.only(graph, api_graph.OPTIONS)]["inputs"]
    assert given == {name: entry[1]["default"] for name, entry in declared.items()}
