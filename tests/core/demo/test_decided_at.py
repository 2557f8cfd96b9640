"""Draws that go on from the truth at some noise level."""

import json

import pytest
import torch

from vmt.bench.cases import bench_cases
from vmt.demo import decided_at, evaluate
from vmt.demo.sampling import clean_latent, decode, load_dit, load_vae, sample
from vmt.demo.train import DIT_FILE, VAE_FILE, WEIGHTS
from vmt.metrics.summary import summarise


@pytest.fixture(scope="module")
def vae():
    return load_vae(WEIGHTS / VAE_FILE)


@pytest.fixture(scope="module")
def dit():
    return load_dit(WEIGHTS / DIT_FILE)


def test_from_pure_noise_it_is_a_plain_draw_and_at_the_end_the_truth(dit, vae, monkeypatch):
    monkeypatch.setattr(decided_at, "STEPS", 6)
    [case] = bench_cases("single_object", 1)
    clean = clean_latent(vae, case.perfect_transfer()[None]).clone()
    plain = sample(dit, vae, [case.caption], decided_at.STEPS, seed=case.seed, half=True, ancestral=True)[0]
    assert torch.equal(decided_at.drawn_from(dit, vae, case, clean, 0, half=True), plain)
    truth = decode(vae, clean)[0]
    late = decided_at.drawn_from(dit, vae, case, clean, decided_at.STEPS - 1, half=True)
    assert (late - truth).abs().mean() < 0.5 * (plain - truth).abs().mean()


def test_command(monkeypatch, tmp_path, capsys):
    """A thing's way is decided above noise level .83, and that of the ground under a camera below it."""
    monkeypatch.setattr(decided_at, "STARTS", (8,))
    left = {}
    for category in decided_at.KINDS:
        file = tmp_path / f"{category}.json"
        asked = ["decided", "--half", "--cases", "1", "--seed", "77", "--category", category, "--json", str(file)]
        assert evaluate.main(asked) == 0
        left[category] = json.loads(file.read_text())
    told = capsys.readouterr()
    assert "noise level 0.83" in told.out and "1/1  line right" in told.err
    assert left["single_object"]["0.83"]["mean"] > 0.9
    assert left["camera"]["0.83"]["mean"] < 0.8


def test_a_level_at_which_no_case_has_a_motion():
    table = summarise([{"0.97": None, "0.83": 0.5}, {"0.97": None, "0.83": None}])
    told = {level: decided_at.line_of(level, row) for level, row in table.items()}
    assert told == {"0.97": "noise level 0.97  undefined", "0.83": "noise level 0.83  median +0.50  mean +0.50"}
