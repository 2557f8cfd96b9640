import numpy as np
import pytest
import torch

from vmt.contact_sheet import COLUMNS, GAP, HEAD, LABEL_WIDTH, _evenly, contact_sheet, side_by_side


def grey(levels, height=16, width=24):
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, height, width, 3)


def tile(sheet, row, column, height=16, width=24):
    top, left = HEAD + row * (height + GAP), LABEL_WIDTH + column * (width + GAP)
    return np.asarray(sheet)[top : top + height, left : left + width]


def test_each_row_shows_its_frames_in_order():
    sheet = contact_sheet({"first": grey([0.0, 0.2, 0.4]), "second": grey([1.0, 0.8, 0.6])})
    for row, levels in enumerate(([0, 51, 102], [255, 204, 153])):
        for column, level in enumerate(levels):
            assert np.unique(tile(sheet, row, column)).tolist() == [level]


def test_row_of_another_size_is_scaled_and_a_shorter_one_leaves_room():
    sheet = contact_sheet({"first": grey([0.0, 0.2, 0.4]), "second": grey([1.0, 0.6], 8, 12)})
    assert np.unique(tile(sheet, 1, 1)).tolist() == [153]
    assert tile(sheet, 1, 2).max() < 40


@pytest.mark.parametrize("letters", [30, 41, 400])
def test_a_long_label_has_its_room(letters):
    rows = {"m" * letters: grey([0.0]), "short": grey([1.0])}
    sheet = np.asarray(contact_sheet(rows))
    left = sheet.shape[1] - 24 - GAP
    label = sheet[HEAD : HEAD + 16, :left].max(-1)
    columns = np.flatnonzero((label > 100).any(0))
    assert 5 <= columns[0] and columns[-1] < left - 5, "neither cut off nor over the frames"
    assert LABEL_WIDTH < left < 700
    assert np.unique(sheet[HEAD : HEAD + 16, left : left + 24]).tolist() == [0]


@pytest.mark.parametrize("number", [1, 2, 17, 33, 81, 257])
def test_first_and_last_frame_are_always_shown(number):
    picked = _evenly(number, COLUMNS)
    assert picked[0] == 0 and picked[-1] == number - 1
    assert len(picked) == min(number, COLUMNS) and len(set(np.diff(picked))) <= 2


def test_strip_is_in_order():
    sheet = contact_sheet({"a": grey([0.0])})
    assert side_by_side([sheet, sheet]).size == (2 * sheet.width + GAP, sheet.height)
