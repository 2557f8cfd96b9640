"""The report: medians and intervals per method, differences from the floor, what was left out."""

import errno
import json
import os
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import cv2
import pytest
import torch

from vmt.bench import case_picture, command, transfer
from vmt.bench import runs as bench_runs
from vmt.bench.case import Result
from vmt.bench.cases import bench_cases
from vmt.bench.figure_tables import FigureTables
from vmt.bench.methods import NAMES, load
from vmt.bench.report import summary, table, within_noise
from vmt.errors import InputError
from vmt.launch.console import LaunchError
from vmt.launch.run_result import NodeFailed, ServerError
from vmt.metrics.trajectory import centred_correlation

FIGURES = {"centred_correlation": 0.0, "wrong_way": 0.5, "colour_right": True, "leakage": None, "seconds": 2.0}


def scored(values):
    return {f"case-{i}": {**FIGURES, "centred_correlation": value} for i, value in enumerate(values)}


def test_summary_has_the_documented_keys():
    methods = summary({"unguided": scored([0.0, 0.1, -0.1, 0.05] * 3), "balanced": scored([0.9, 0.8, 1.0, 0.95] * 3)})
    figure = methods["balanced"]["centred_correlation"]
    assert figure["median"] == pytest.approx(0.925) and figure["ci95"][0] < figure["mean"] < figure["ci95"][1]
    assert methods["balanced"]["vs_unguided"]["centred_correlation"]["ci95"][0] > 0.5
    assert methods["balanced"]["leakage"] == {"median": None, "mean": None, "ci95": None, "n": 0}
    assert "vs_unguided" not in methods["unguided"]
    json.dumps(methods)


def test_table_marks_what_is_beyond_noise():
    rows = table(
        summary({
            "unguided": scored([0.0, 0.1, -0.1, 0.05] * 3),
            "balanced": scored([0.9, 0.8, 1.0, 0.95] * 3),
            "like_it": scored([0.05, 0.05, -0.1, 0.05] * 3),
        })
    ).splitlines()  # fmt: skip
    assert rows[0].startswith("| method | path |") and "leakage" not in rows[0]
    assert "*" in rows[3] and "*" not in rows[2] and "*" not in rows[4]


def test_a_case_that_only_one_has_is_not_compared():
    methods = summary({"unguided": scored([0.0]), "balanced": scored([0.5, 1.0])})
    assert methods["balanced"]["vs_unguided"]["centred_correlation"]["mean"] == 0.5


def test_methods_are_held_against_one_another_on_the_same_cases():
    hard = [0.0, 0.4, 0.8, 0.2] * 3
    methods = summary({
        "unguided": scored([0.0, 0.1, -0.1, 0.05] * 3),
        "free": scored(hard),
        "a_little_better": scored([value + 0.05 + 0.01 * (i % 2) for i, value in enumerate(hard)]),
        "like_free": scored([value + 0.05 * (-1) ** i for i, value in enumerate(hard)]),
    })  # fmt: skip
    better = methods["a_little_better"]["vs"]["free"]["centred_correlation"]
    assert better["mean"] == pytest.approx(0.055) and better["ci95"][0] > 0.04  # though the cases differ by .8
    assert "unguided" not in methods["free"]["vs"] and "vs_unguided" in methods["free"]
    told = within_noise(methods)
    assert told == "path, within noise of one another: free and like_free."


def test_motion_and_looks_have_a_table_each():
    motion, looks = table(summary({"unguided": scored([0.0, 0.1]), "balanced": scored([0.9, 0.8])})).split("\n\n")
    assert "| path |" in motion.splitlines()[0] and "| s |" in motion.splitlines()[0]
    assert looks.splitlines()[0] == "| method | colour |" and "1.00" in looks.splitlines()[3]


def test_a_pause_of_the_machine_is_not_told_as_time():
    cases = scored([0.0] * 5)
    cases["case-0"]["seconds"] = 700.0
    assert " 2.0 |" in table(summary({"unguided": cases}))


def test_of_many_pairs_some_differ_by_chance():
    methods = {f"method {n}": scored([0.01 * n, 0.1, -0.1, 0.05] * 3) for n in range(8)}
    assert within_noise(summary(methods)).splitlines()[-1].startswith("Of 28 pairs of equal methods about 1 ")
    assert "by chance" not in within_noise(summary(dict(list(methods.items())[:4])))


def test_few_cases_tell_no_two_methods_apart():
    methods = summary({"free": scored([0.0] * 3), "quality": scored([1.0] * 3)})
    assert within_noise(methods) == "path, within noise of one another: free and quality."
    assert within_noise(summary({"unguided": scored([0.0] * 8), "free": scored([1.0] * 8)})) == ""


class Runs:
    """What the command needs of `BenchRuns`, without a host; the second case fails."""

    asked: ClassVar[list] = []
    made: ClassVar[list] = []  # of results and of the videos that they are held against

    def __init__(self, folder, half, workflow, seeds, clip, tables, judge_again):
        self.made.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def make_unguided(self, case, other):
        self.made.append(("unguided", case.name))

    def result(self, name, case, other):
        if name != "unguided":
            self.made.append((name, case.name))
        self.asked.append((name, case.name, other.motion.name != case.motion.name))
        return Result(None, "the frames are gone") if case.number == 1 else Result({**FIGURES})

    def kept(self, name, case):
        return Result({**FIGURES}) if name == "unguided" else None

    def compute(self, name, category, cases):
        assert all(case.category == category and other.about != case.about for case, other in cases)
        assert not any(case.fault for case, _ in cases)
        counted = {"forwards": 40, "backwards": 0.5 if category == "camera" else 1.5, "flops": 2_345_678_901_234}
        return counted if name == "balanced" else {}


class TestCommand:
    def test_report_names_what_was_left_out(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(transfer, "BenchRuns", Runs)
        monkeypatch.setattr(transfer.host_tree, "current", lambda: tmp_path / "ComfyUI")
        Runs.asked.clear()
        options = ["--methods", "balanced", "--no-controls", "--category", "camera,single_object", "--cases", "3"]
        assert command.main(["transfer", *options, "--out", str(tmp_path / "o"), "--json", str(tmp_path / "r")]) == 0
        report = json.loads((tmp_path / "r").read_text())
        assert list(report) == "split seed cases model host half absent methods categories".split()
        assert report["split"] == "v1" and "--seeds 2" in report["absent"]["diversity"]
        assert set(report["methods"]["balanced"]["wrong_way"]) == {"median", "mean", "ci95", "n"}
        assert set(report["categories"]["camera"]) == {"methods", "skipped"}
        assert report["host"] == {"comfyui": "unknown", "torch": torch.__version__, "dtype": report["host"]["dtype"]}
        assert report["methods"]["balanced"]["wrong_way"]["n"] == 4
        assert report["methods"]["balanced"]["forwards"] == 40 and "flops" not in report["methods"]["unguided"]
        assert report["categories"]["camera"]["skipped"]["balanced"] == {"camera-001": "the frames are gone"}
        printed = capsys.readouterr()
        told = printed.out
        assert "Left out: balanced on camera-001" in told and "| balanced |" in told
        overall = told[told.index("all\n\n") :].splitlines()
        assert overall[2].endswith("| forwards | backwards | TFLOP |")
        assert overall[4].endswith("| – | – | – |") and overall[5].endswith("| 40.0 | 1.0 | 2.35 |")
        assert report["categories"]["single_object"]["methods"]["balanced"]["backwards"] == 1.5
        lines = printed.err.splitlines()
        assert [line for line in lines if "counting" in line] == [
            f"{category}: counting what a run of each method computes" for category in ("camera", "single_object")
        ]
        assert lines[1].startswith("camera-000 (") and ")  2/12 runs, 1 of them made in " in lines[1]
        assert lines[-1].startswith("single_object-002 (") and lines[-1].endswith(" s, 0 min left")
        assert ")  12/12 runs, 6 of them made in " in lines[-1]
        assert len(Runs.asked) == 12 and all(another for *_, another in Runs.asked)

    @pytest.mark.parametrize("asked", ["balanced,dense_amf", "dense_amf,shuffled_frames,balanced"])
    def test_controls_come_first_in_every_table(self, tmp_path, monkeypatch, capsys, asked):
        monkeypatch.setattr(transfer, "BenchRuns", Runs)
        monkeypatch.setattr(transfer.host_tree, "current", lambda: tmp_path)
        options = ["transfer", "--methods", asked, "--category", "camera", "--cases", "1", "--out", str(tmp_path)]
        assert command.main(options) == 0
        rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
        shown = [row.split("|")[1].strip() for row in rows]
        named = [name for name in asked.split(",") if name != "shuffled_frames"]
        controls = {
            "noised_start", "perfect", "reversed_reference", "shuffled_frames", "static_reference",
            "unrelated_reference", "vae_round_trip",
        }  # fmt: skip
        others = sorted(name for name in NAMES if load(name).control and name != "unguided")
        assert controls <= set(others) and shown == ["method", "---", "unguided", *others, *named] * 4

    def test_a_case_with_a_fault_is_no_run_to_make_or_to_count(self, tmp_path, monkeypatch, capsys):
        first, second = bench_cases("camera", 2)
        monkeypatch.setattr(transfer, "BenchRuns", Runs)
        monkeypatch.setattr(transfer.host_tree, "current", lambda: tmp_path)
        monkeypatch.setattr(transfer, "_cases", lambda *_: {"camera": [first, replace(second, fault="no video")]})
        options = ["--methods", "balanced", "--no-controls", "--category", "camera", "--out", str(tmp_path)]
        assert command.main(["transfer", *options]) == 0
        printed = capsys.readouterr()
        assert "  4/4 runs, 1 of them made in " in printed.err and "Left out: balanced on camera-001" in printed.out

    def test_nothing_is_counted_where_that_is_not_asked_for(self, tmp_path, monkeypatch, capsys):
        class Uncounted(Runs):
            def compute(self, name, category, cases):
                assert not cases, "there is none to count on"
                return {"flops": 5e12} if name == "unguided" else {}  # what is kept is told nevertheless

        monkeypatch.setattr(transfer, "BenchRuns", Uncounted)
        monkeypatch.setattr(transfer.host_tree, "current", lambda: tmp_path)
        options = ["--methods", "balanced", "--no-controls", "--category", "camera", "--cases", "1", "--no-compute"]
        assert command.main(["transfer", *options, "--out", str(tmp_path)]) == 0
        printed = capsys.readouterr()
        assert "counting" not in printed.err
        rows = [line for line in printed.out.splitlines() if line.startswith("| ")]
        assert rows[2].endswith("| 5.00 |") and rows[3].endswith("| – |")

    def test_nothing_comes_between_the_prompts_of_a_reference(self, tmp_path, monkeypatch):
        """The host would forget what a method made of it; so videos to compare with are made before."""
        monkeypatch.setattr(transfer, "BenchRuns", Runs)
        monkeypatch.setattr(transfer.host_tree, "current", lambda: tmp_path)
        options = ["--methods", "free", "--no-controls", "--category", "camera", "--cases", "2", "--prompts", "2"]
        assert command.main(["transfer", *options, "--out", str(tmp_path / "o")]) == 0
        cases = [[f"camera-{number:03}", f"camera-{number:03}-prompt1"] for number in (0, 1)]
        assert Runs.made == [(name, case) for pair in cases for name in ("unguided", "free") for case in pair]

    def test_every_case_is_a_dot(self, tmp_path, monkeypatch):
        pytest.importorskip("matplotlib")
        monkeypatch.setattr(transfer, "BenchRuns", Runs)
        monkeypatch.setattr(transfer.host_tree, "current", lambda: tmp_path)
        drawn, save = [], case_picture.save
        monkeypatch.setattr(case_picture, "save", lambda figure, path: (drawn.append(figure), save(figure, path)))
        picture = tmp_path / "cases.svg"
        options = ["--methods", "free", "--no-controls", "--category", "camera,single_object", "--cases", "4"]
        options += ["--picture", str(picture), "--out", str(tmp_path / "o")]
        assert command.main(["transfer", *options]) == 0
        assert picture.read_text().startswith("<?xml")
        dots = [[len(line.get_offsets()) for line in axes.collections] for axes in drawn[0].axes]
        assert dots == [[0, 0], [3, 3]], "one case has no figures, and those of cameras are no path"

    def test_the_report_says_what_the_models_computed_in(self, tmp_path, monkeypatch):
        monkeypatch.setattr(transfer.host_tree, "current", lambda: tmp_path)
        for backend in (torch.cuda, torch.backends.mps):
            monkeypatch.setattr(backend, "is_available", lambda: False)
        told = [transfer._host(transfer.parse(options))["dtype"] for options in ([], ["--half"])]
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        told.append(transfer._host(transfer.parse([]))["dtype"])
        assert told == ["float32", "bfloat16", "as the host chooses"]

    def test_folder_of_other_settings_is_left_alone(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(transfer, "BenchRuns", Runs)
        monkeypatch.setattr(transfer.host_tree, "current", lambda: tmp_path)
        options = ["transfer", "--methods", "balanced", "--category", "camera", "--cases", "1", "--out", str(tmp_path)]
        assert command.main(options) == 0
        assert command.main([*options, "--seed", "1"]) == 2
        assert "Give another --out" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "options",
        [
            ["--methods", "telepathy"],
            ["--category", "dance"],
            ["--category", ","],
            ["--json", "/no/such/folder/report.json"],
            ["--cases", "0"],
            ["--seeds", "0"],
            ["--prompts", "0"],
            ["--html", "page", "--figures", "tables"],
            ["--picture", "cases.txt"],
        ],
        ids=lambda o: o[0],
    )
    def test_bad_input_is_told_before_anything_starts(self, tmp_path, capsys, options):
        assert command.main(["transfer", *options, "--out", str(tmp_path)]) == 2
        assert capsys.readouterr().err.startswith("vmt: ") and not list(tmp_path.iterdir())

    def test_parts_are_named(self, capsys):
        assert command.main([]) == 2 and command.main(["--help"]) == 0
        assert "transfer" in capsys.readouterr().err


class TestKeptResults:
    @pytest.fixture
    def runs(self, tmp_path):
        from vmt.bench.runs import BenchRuns

        with BenchRuns(tmp_path) as runs:  # starts no host
            yield runs

    def test_are_not_made_again(self, runs, tmp_path):
        case = bench_cases("camera", 1)[0]
        (tmp_path / "balanced").mkdir()
        (tmp_path / "balanced" / "camera-000.json").write_text(json.dumps({"figures": FIGURES, "skipped": ""}))
        assert runs.kept("balanced", case).figures == FIGURES and runs.kept("free", case) is None
        assert runs.result("balanced", case, case).figures == FIGURES

    def test_a_case_that_fails_is_told_and_tried_again_another_time(self, runs, tmp_path, monkeypatch):
        def fails(*_):
            raise ServerError("KSampler (node 3): out of luck")

        monkeypatch.setattr(runs, "_judged", fails)
        case = bench_cases("camera", 1)[0]
        assert runs.result("balanced", case, case).skipped == "KSampler (node 3): out of luck"
        assert json.loads((tmp_path / "balanced" / "camera-000.json").read_text())["figures"] is None
        assert runs.kept("balanced", case) is None
        monkeypatch.setattr(runs, "_judged", lambda *_: FIGURES)
        assert runs.result("balanced", case, case).figures == FIGURES

    @pytest.mark.parametrize(
        "error", [ValueError("NaN"), cv2.error("NaN"), OSError("NaN"), MemoryError("NaN")], ids=repr
    )
    def test_an_error_that_nobody_foresaw_ends_its_case_only(self, runs, monkeypatch, error):
        def fails(*_):
            raise error

        monkeypatch.setattr(runs, "_judged", fails)
        case, other = bench_cases("camera", 2)
        assert runs.result("balanced", case, other).skipped == f"{type(error).__name__}: NaN"
        monkeypatch.setattr(runs, "_judged", lambda *_: FIGURES)
        assert runs.result("balanced", other, case).figures == FIGURES

    def test_ctrl_c_ends_the_bench(self, runs, monkeypatch):
        def stopped(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(runs, "_judged", stopped)
        with pytest.raises(KeyboardInterrupt):
            runs.result("balanced", *bench_cases("camera", 2))

    @pytest.mark.parametrize("told_by", ["us", "the host", "a file of ours"])
    def test_a_full_disk_stops_the_bench(self, runs, tmp_path, monkeypatch, told_by):
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def fails(*_):
            raise NodeFailed("9", "SaveVideo", str(full), "OSError", "") if told_by == "the host" else full

        monkeypatch.setattr(runs, "_judged", lambda *_: FIGURES)
        monkeypatch.setattr(*((bench_runs, "write_json") if told_by == "a file of ours" else (runs, "_judged")), fails)
        with pytest.raises(InputError, match=r"The disk is full.*start the bench again"):
            runs.result("balanced", *bench_cases("camera", 2))
        assert not list(tmp_path.glob("**/*.json")), "the case is not noted as one that cannot be made"

    def test_compute_that_could_not_be_counted_is_counted_another_time(self, runs, tmp_path, monkeypatch):
        def fails(*_):
            raise ValueError("NaN")

        monkeypatch.setattr(runs, "_graph", fails)
        pairs = [tuple(bench_cases("camera", 2))]
        assert runs.compute("balanced", "camera", pairs) == {} and not list(tmp_path.glob("**/*.json"))

    def test_a_host_that_does_not_start_is_no_case_s_fault(self, runs, tmp_path, monkeypatch):
        class Broken:
            def __init__(self, *_):
                pass

            def __enter__(self):
                raise ServerError("ComfyUI did not start")

            def __exit__(self, *_):
                pass

        monkeypatch.setattr(bench_runs, "Server", Broken)
        monkeypatch.setattr(bench_runs.host_tree, "current", lambda: tmp_path)
        monkeypatch.setattr(bench_runs, "needs_cpu_flag", lambda python: True)
        case, other = bench_cases("camera", 2)
        with pytest.raises(ServerError, match="did not start"):
            runs.result("unguided", case, other)
        with pytest.raises(ServerError, match="did not start"):
            runs.compute("unguided", "camera", [(case, other)])

        def nowhere():
            raise LaunchError("There is no ComfyUI")

        monkeypatch.setattr(bench_runs.host_tree, "current", nowhere)
        with pytest.raises(ServerError, match="no ComfyUI"):
            runs.result("unguided", case, other)
        assert not list(tmp_path.glob("**/*.json"))

    def test_of_another_case_by_that_name_stop_the_bench(self, runs, tmp_path):
        first, second = (cases[0] for cases in (bench_cases("camera", 1), bench_cases("camera", 1, seed=1)))
        (tmp_path / "balanced").mkdir()
        kept = {"case": first.told, "figures": FIGURES, "skipped": ""}
        (tmp_path / "balanced" / "camera-000.json").write_text(json.dumps(kept))
        assert runs.result("balanced", first, first).figures == FIGURES
        with pytest.raises(InputError, match="now is another case"):
            runs.result("balanced", second, second)

    def test_frames_are_judged_again_if_that_is_asked(self, tmp_path, monkeypatch):
        case = bench_cases("camera", 1)[0]
        (tmp_path / "balanced").mkdir()
        (tmp_path / "balanced" / "camera-000.json").write_text(json.dumps({"figures": FIGURES, "skipped": ""}))
        tables = FigureTables(tmp_path / "tables")
        tables.add("balanced", "camera", case.name, Result(FIGURES))
        with bench_runs.BenchRuns(tmp_path, tables=tables, judge_again=True) as runs:
            assert runs.result("balanced", case, case).figures == FIGURES  # of a table, without frames here
            (tmp_path / "balanced" / "camera-000.run.json").write_text("{}")
            monkeypatch.setattr(runs, "_judged", lambda *_: {**FIGURES, "wrong_way": 0.25})
            assert runs.result("balanced", case, case).figures["wrong_way"] == 0.25
        assert FigureTables(tmp_path / "tables").get("balanced", "camera", case.name).figures["wrong_way"] == 0.25


def test_controls_that_cannot_run_on_filmed_clips_are_not_added():
    def methods(*options):
        return transfer._methods(transfer.parse(["--methods", "free,noised_start", *options]))

    everything = methods()
    assert everything[-1] == "free" and {"perfect", "vae_round_trip"} < set(everything)
    assert methods("--clips", "folder") == [name for name in everything if name != "perfect"]
    assert methods("--no-controls") == methods("--no-controls", "--clips", "folder")
    assert methods("--no-controls") == ["unguided", "free", "noised_start"]


def test_the_unrelated_reference_goes_no_particular_way():
    """On the whole its path has nothing of the case's: the next in the list goes the same way more often than not."""
    options = transfer.parse(["--cases", "64", "--category", "single_object"])
    cases = bench_cases("single_object", 64)

    def path(case):
        return case.reference.objects[0].centre

    pairs = zip(cases, transfer._others(options, "single_object", cases), strict=True)
    found = [centred_correlation(path(case), path(other)) for case, other in pairs]
    assert abs(sum(found) / len(found)) < 0.15
    following = [centred_correlation(path(a), path(b)) for a, b in pairwise(cases)]
    assert sum(following) / len(following) > 0.2


def test_the_unrelated_reference_does_not_depend_on_how_many_cases_are_asked_for():
    def others(num):
        options = transfer.parse(["--cases", str(num), "--category", "single_object"])
        return [case.name for case in transfer._others(options, "single_object", bench_cases("single_object", num))]

    assert others(1) == others(8)[:1] and others(8) == others(12)[:8]
    assert len(set(others(8))) > 4  # not one for all
    options = transfer.parse(["--clips", "folder"])
    case = bench_cases("camera", 1)[0]
    assert transfer._others(options, "filmed", [case, case]) == [case, case]  # no other motion: the method is left out
