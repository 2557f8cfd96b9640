import csv
import json

import pytest

from vmt.bench.case import Result
from vmt.bench.cases import SPLITS, bench_cases
from vmt.bench.figure_tables import FigureTables
from vmt.bench.methods import NAMES
from vmt.bench.runs import BenchRuns
from vmt.errors import InputError
from vmt.launch import CLONE

FIGURES = {"centred_correlation": 0.123456789, "colour_right": True, "epe_px": None, "steps": 4, "told": 'a "b", c\nd'}


def test_what_is_added_is_there_again(tmp_path):
    FigureTables(tmp_path).add("free", "camera", "camera-001", Result(FIGURES))
    tables = FigureTables(tmp_path)
    assert tables.get("free", "camera", "camera-001").figures == {**FIGURES, "centred_correlation": 0.1235}
    for asked in (("balanced", "camera", "camera-001"), ("free", "single", "camera-001"), ("free", "camera", "b")):
        assert tables.get(*asked) is None


def test_cases_stand_in_order_with_what_was_left_out(tmp_path):
    tables = FigureTables(tmp_path)
    tables.add("free", "camera", "b", Result(None, "The host said: no, and\nno."))
    tables.add("free", "camera", "c", Result({"epe_px": 2.0, "diversity": 1.0}))
    FigureTables(tmp_path).add("free", "camera", "a", Result({"epe_px": 1.5}))
    again = FigureTables(tmp_path)
    assert again.get("free", "camera", "b") == Result(None, "The host said: no, and\nno.")
    assert again.get("free", "camera", "a").figures == {"epe_px": 1.5}
    assert again.get("free", "camera", "c").figures == {"epe_px": 2.0, "diversity": 1.0}
    rows = (tmp_path / "free" / "camera.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows if row[1:2] == ","] == ["a", "b", "c"]
    assert list(tmp_path.rglob("*.partial")) == []


@pytest.mark.parametrize(
    "text", ["name,value\na,1\n", "case,skipped,epe_px\na,,one\n", "case,skipped,epe_px\na,,1,2\n"]
)
def test_another_table_is_refused(tmp_path, text):
    (tmp_path / "free").mkdir()
    (tmp_path / "free" / "camera.csv").write_text(text)
    with pytest.raises(InputError, match=r"camera\.csv is no table of the bench's figures"):
        FigureTables(tmp_path).get("free", "camera", "a")


def test_what_a_run_takes_is_kept_beside_them(tmp_path):
    told = {"forwards": 50.0, "backwards": 2.5, "flops": 870123456789}
    FigureTables(tmp_path).add_compute("free", "camera", told)
    FigureTables(tmp_path).add_compute("free", "single_object", {**told, "backwards": 0.0})
    tables = FigureTables(tmp_path)
    assert tables.compute("free", "camera") == told and tables.compute("free", "single_object")["backwards"] == 0
    assert tables.compute("free", "complex_motion") == tables.compute("balanced", "camera") == {}
    with BenchRuns(tmp_path / "out", tables=tables) as runs:  # starts no host
        assert runs.compute("free", "camera", []) == told


@pytest.mark.parametrize("text", ["forwards", "[1]", '{"camera": {"flops": "many"}}', '{"camera": 3}'])
def test_what_is_no_count_is_refused(tmp_path, text):
    (tmp_path / "free").mkdir()
    (tmp_path / "free" / "compute.json").write_text(text)
    with pytest.raises(InputError, match=r"compute\.json does not hold what runs take"):
        FigureTables(tmp_path).compute("free", "camera")


PUBLIC = CLONE / "vmt" / "bench" / "results" / "v1"


@pytest.mark.parametrize("file", sorted(PUBLIC.glob("*/*.csv")), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_the_public_figures_are_of_the_public_cases(file):
    settings = json.loads((PUBLIC / "settings.json").read_text())  # its fingerprint: test_fingerprint.py
    assert settings == {"seed": SPLITS["v1"], "half": False, "fingerprint": settings["fingerprint"]}
    method, category = file.parent.name, file.stem
    with file.open(newline="") as lines:
        names = [row["case"] for row in csv.DictReader(lines)]
    assert names == [case.name for case in bench_cases(category, 64, SPLITS["v1"])][: len(names)] and method in NAMES
    tables = FigureTables(PUBLIC)
    shares = {"colour_right", "shape_right", "things_right", "wrong_way", "path_wrong_way"}
    for name in names:
        figures = tables.get(method, category, name).figures
        assert all(figures[key] is None or 0 <= figures[key] <= 1 for key in shares)
        assert all(abs(figures[key]) <= 1 for key in ("centred_correlation", "camera_correlation") if figures[key])
