import numpy as np
import pytest
from moving_clips import moved, pan

from vmt.errors import InputError
from vmt.metrics.comparison import TILE, compare
from vmt.metrics.motion_report import PASSES

REFERENCE = moved(pan(0, 3))
RESULTS = {"same way": moved(pan(0, 3), seed=1), "half": moved(pan(0, 1.5), seed=1), "back": moved(pan(0, -3), seed=1)}


def test_table_and_sheet():
    comparison = compare(REFERENCE, RESULTS)
    lines = comparison.table().splitlines()
    assert lines[0].startswith("| result | same places | path |") and "leakage" not in lines[0]
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| same way", "| half", "| back"]
    same, half, back = (float(line.split(" | ")[1]) for line in lines[2:])
    assert same > half > 0.7 > 0 > back
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    sheet = comparison.sheet()
    assert sheet.shape[0] == 1 and sheet.shape[3] == 3 and 0 <= sheet.min() <= sheet.max() <= 1
    assert sheet.shape[1] > 4 * 72 and sheet.shape[2] > 9 * 96


def test_names_spoil_neither_table_nor_sheet():
    lines = compare(REFERENCE, {"a|b": REFERENCE}).table().splitlines()
    assert lines[2].startswith("| a\\|b | ")
    assert lines[2].replace("\\|", "").count("|") == lines[0].count("|")
    with pytest.raises(InputError, match="A result is called 'reference'"):
        compare(REFERENCE, {"reference": REFERENCE})


def test_leakage_needs_the_unguided_clip():
    table = compare(REFERENCE, RESULTS, unguided=RESULTS["half"]).table()
    assert "leakage" in table.splitlines()[0]


def test_large_frames_are_made_smaller_on_the_sheet():
    large = np.repeat(np.repeat(REFERENCE[:2], 8, 1), 8, 2)
    told = []
    comparison = compare(large, {"a": large, "short": large[:1]}, on_step=lambda: told.append(1))
    assert comparison.sheet().shape[2] < 600 and len(told) == 2 * PASSES
    assert all(max(tiles.shape[1:3]) <= TILE for tiles in comparison.tiles.values())


def test_what_does_not_fit_is_left_out_and_said():
    comparison = compare(REFERENCE, {**RESULTS, "short": REFERENCE[:4]})
    assert list(comparison.figures) == list(RESULTS) and "4 frames" in comparison.skipped["short"]
    assert "short was left out: The clips differ" in comparison.table()
    with pytest.raises(InputError, match=r"1 results were given; one that can be measured.*4 frames"):
        compare(REFERENCE, {"short": REFERENCE[:4]})
    with pytest.raises(InputError, match="0 results"):
        compare(REFERENCE, {})
    with pytest.raises(InputError, match="1 frame"):
        compare(REFERENCE[:1], RESULTS)
