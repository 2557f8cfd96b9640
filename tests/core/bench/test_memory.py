"""What comparing motion takes in memory."""

import json

import pytest

from vmt.bench import memory
from vmt.bench.command import main
from vmt.bench.memory import ROWS, UNLIMITED, peak_bytes
from vmt.signals.attention_flow import AttentionFlowConfig
from vmt.token_grid import TokenGrid

SMALL, LARGE = TokenGrid(3, 30, 40), TokenGrid(3, 60, 80)  # four times the tokens


def growth(config):
    return peak_bytes(LARGE, config, UNLIMITED) / peak_bytes(SMALL, config, UNLIMITED)


def test_windows_grow_with_the_tokens_and_whole_frames_with_their_square(monkeypatch):
    monkeypatch.setattr(memory, "HEADS", 1)  # so that the vectors do not hide the scores
    monkeypatch.setattr(memory, "CHANNELS", 8)
    assert 3.8 < growth(AttentionFlowConfig(radius=2)) < 4.2
    assert 14 < growth(AttentionFlowConfig(radius=None)) < 16.5


def test_in_parts_less_is_held():
    whole, parts = ROWS["whole frames"], ROWS["whole frames, in parts"]
    assert peak_bytes(TokenGrid(21, 30, 52), *parts) < 0.5 * peak_bytes(TokenGrid(21, 30, 52), *whole)


def test_the_command_tells_and_draws(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(memory, "HEIGHTS", (4, 8))
    report, picture = tmp_path / "m.json", tmp_path / "m.png"
    assert main(["memory", "--json", str(report), "--picture", str(picture)]) == 0
    told = json.loads(report.read_text())
    assert told["tokens_of_a_frame"] == [28, 112] and set(told["peak_bytes"]) == set(ROWS)
    assert all(small < large for small, large in told["peak_bytes"].values())
    assert picture.read_bytes()[1:4] == b"PNG" and "| windows of 5x5, GB |" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["m.txt", "m"])
def test_a_picture_of_no_known_kind_is_refused(tmp_path, capsys, name):
    assert main(["memory", "--picture", str(tmp_path / name)]) == 2
    assert ".png or .svg is allowed" in capsys.readouterr().err
