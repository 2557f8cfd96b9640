"""Everything of the transfer evaluation that needs no host; `tests/host/test_transfer_runs.py` runs it in one."""

import json

import pytest

from vmt.demo import api_graph, demo_graph, evaluate, sweep
from vmt.demo.evaluate_transfer import TOLD, table
from vmt.demo.run import WORKFLOW
from vmt.demo.transfer_cases import transfer_cases
from vmt.demo.transfer_runs import NOISED_START, ROWS, TransferRuns, changed, guided_noised_start
from vmt.errors import InputError
from vmt.metrics.summary import summarise


@pytest.fixture
def graph():
    return api_graph.load(WORKFLOW)


def inputs(graph, node_class):
    return graph[api_graph.only(graph, node_class)]["inputs"]


def test_settings_keep_the_kind_of_what_they_replace(graph):
    settings = ["VMT_WindowedInversion.blocks=3", "VMT_WindowedInversion.sigma=0.2", "VMT_ExtractAMF.radius=3"]
    other = changed(graph, settings)
    assert inputs(other, "VMT_WindowedInversion")["blocks"] == "3"
    assert inputs(other, "VMT_WindowedInversion")["sigma"] == 0.2
    assert inputs(other, "VMT_ExtractAMF")["radius"] == 3
    assert inputs(graph, "VMT_ExtractAMF")["radius"] == 2, "the graph itself stays as it was"


@pytest.mark.parametrize(
    "setting",
    ["VMT_ExtractAMF.radius", "VMT_ExtractAMF.size=3", "Nothing.radius=3", "radius=3", "VMT_ExtractAMF.radius=x"],
)
def test_settings_that_set_nothing_are_refused(graph, setting):
    with pytest.raises(InputError):
        changed(graph, [setting])


def test_every_setting_of_the_sweep_changes_the_workflow(graph):
    for name, settings in sweep.SETTINGS.items():
        assert (changed(graph, settings) == graph) == (name in (sweep.AS_IT_IS, sweep.STARTED)), name


def test_noised_start_takes_the_reference_and_no_guidance(graph):
    demo = demo_graph.read(graph)
    started = ROWS["noised_start"](demo)
    sampler = started[demo.sampler]
    assert sampler["class_type"] == "KSampler" and sampler["inputs"]["denoise"] == NOISED_START
    reference = sampler["inputs"]["latent_image"]
    assert started[reference[0]]["class_type"] == "VAEEncode"
    plain = ROWS["unguided"](demo)[demo.sampler]["inputs"]
    assert plain["denoise"] == 1 and plain["seed"] == sampler["inputs"]["seed"]
    assert ROWS["guided"](demo)[demo.sampler]["class_type"] == "VMT_MotionGuidanceSampler"


def test_guidance_too_may_start_from_the_noised_reference(graph):
    demo = demo_graph.read(graph)
    started = guided_noised_start(demo)[demo.sampler]
    assert started["class_type"] == "VMT_MotionGuidanceSampler" and started["inputs"]["denoise"] == NOISED_START
    assert started["inputs"]["latent_image"] == ROWS["noised_start"](demo)[demo.sampler]["inputs"]["latent_image"]


def test_options_come_with_their_first_setting(graph):
    other = changed(graph, ["VMT_GuidanceOptions.reuse_steps=2", "VMT_GuidanceOptions.turn=0.5"])
    options = inputs(other, api_graph.OPTIONS)
    assert (options["reuse_steps"], options["turn"], options["update"]) == (2, 0.5, "rms")
    assert other[inputs(other, api_graph.SAMPLER)["options"][0]]["class_type"] == api_graph.OPTIONS
    with pytest.raises(InputError, match="sets no input"):
        changed(graph, ["VMT_GuidanceOptions.luck=1"])


def test_kept_scores_are_not_made_again(tmp_path):
    case, kept = transfer_cases(1)[0], {"correlation": 0.5, "seconds": 1.0}
    (tmp_path / "guided").mkdir()
    (tmp_path / "guided" / "case-000.json").write_text(json.dumps(kept))
    with TransferRuns(tmp_path) as runs:  # starts no host
        assert runs.scores(case, 0, "guided") == kept


def test_table_names_what_is_undefined():
    scores = [{key: 0.25 for key in TOLD}, {**{key: 0.75 for key in TOLD}, "correlation": 1.0}]
    scores = [{**score, "wrong_way": None} for score in scores]
    rows = table({"guided": summarise(scores)}, "row").splitlines()
    assert rows[0].split(" | ")[:3] == ["| row", "correlation", "wrong_way"]
    assert rows[2].split(" | ")[:4] == ["| guided", "0.62 / 0.62", "undefined", "0.50"]


def test_command_names_what_it_can_do(capsys):
    assert evaluate.main(["--help"]) == 0 and "transfer" in capsys.readouterr().out
    assert evaluate.main([]) == 2 and evaluate.main(["beauty"]) == 2
    assert "samples" in capsys.readouterr().err
    assert evaluate.main(["sweep", "--only", "luck"]) == 2
    assert "'luck' is no setting; 'as it is'" in capsys.readouterr().err
