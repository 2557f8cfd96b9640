"""Results that are kept are those of the same workflow and the same weights."""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from vmt.bench import fingerprint as made_by
from vmt.bench import transfer
from vmt.bench.fingerprint import fingerprint, model_files, model_sizes
from vmt.demo import api_graph
from vmt.demo.run import WORKFLOW
from vmt.demo.train import DIT_FILE, VAE_FILE
from vmt.errors import InputError

V1 = Path(transfer.__file__).with_name("results") / "v1"


@pytest.fixture
def workflow():
    return api_graph.load(WORKFLOW)


@pytest.fixture
def weights(tmp_path):
    for file in (DIT_FILE, VAE_FILE, Path("heads") / "not_named.safetensors"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes(str(file).encode())
    return tmp_path


def test_is_of_the_weights_that_the_workflow_names(workflow, weights):
    first = fingerprint(workflow, weights)
    assert len(first) == 16 and fingerprint(deepcopy(workflow), weights) == first
    (weights / "heads" / "not_named.safetensors").write_bytes(b"other")
    assert fingerprint(workflow, weights) == first
    told = {first}
    for file in (DIT_FILE, VAE_FILE):
        (weights / file).write_bytes(b"other")
        told.add(fingerprint(workflow, weights))
    assert len(told) == 3


def test_is_of_the_workflow_but_not_of_its_titles(workflow, weights):
    first, sampler = fingerprint(workflow, weights), api_graph.only(workflow, api_graph.SAMPLER)
    assert fingerprint(api_graph.with_input(workflow, sampler, "steps", 7), weights) != first
    workflow[sampler]["_meta"] = {"title": "another"}
    assert fingerprint(workflow, weights) == first


def test_the_shipped_weights_are_found(workflow):
    assert {file.name for file in (DIT_FILE, VAE_FILE)} == set(model_files(workflow, made_by.WEIGHTS))


def test_other_models_are_told_by_their_size(workflow, weights, monkeypatch):
    monkeypatch.setattr(made_by, "BASE", weights)
    assert model_sizes(workflow) == {}
    (weights / "models").mkdir()
    for kind in ("diffusion_models", "vae"):
        (weights / kind).rename(weights / "models" / kind)
    assert model_sizes(workflow) == {file.name: len(str(file)) for file in (DIT_FILE, VAE_FILE)}


def settings(*options):
    options = transfer.parse(list(options))
    return transfer._settings(options, api_graph.load(options.workflow), None)


def test_the_public_figures_are_of_what_is_shipped():
    """If this fails, figures of other weights or of another workflow lie there: run the bench again."""
    assert json.loads((V1 / "settings.json").read_text()) == settings()


def test_results_of_other_weights_are_refused(tmp_path, monkeypatch):
    transfer._claim(tmp_path, settings())
    transfer._claim(tmp_path, settings())
    monkeypatch.setattr(transfer, "fingerprint", lambda workflow: "0123456789abcdef")
    with pytest.raises(InputError, match="Give another --out"):
        transfer._claim(tmp_path, settings())


def test_results_of_nobody_knows_what_are_refused_and_how_to_go_on_is_told(tmp_path):
    (tmp_path / "settings.json").write_text('{"seed": 0, "half": false}')
    now = settings()
    with pytest.raises(InputError, match=f'add "fingerprint": "{now["fingerprint"]}" to it'):
        transfer._claim(tmp_path, now)
    (tmp_path / "settings.json").write_text('{"seed": 1, "half": false}')
    with pytest.raises(InputError, match="Give another --out"):
        transfer._claim(tmp_path, now)


def test_another_workflow_is_told_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "model_sizes", lambda workflow: {"big.safetensors": 7})
    file = tmp_path / "workflow.json"
    file.write_text(WORKFLOW.read_text(encoding="utf-8"), encoding="utf-8")
    told = settings("--workflow", str(file))
    assert told["workflow"] == api_graph.load(WORKFLOW) and told["models"] == {"big.safetensors": 7}
    assert "fingerprint" not in told
