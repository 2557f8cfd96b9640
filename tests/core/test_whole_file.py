import json
import os
import time

import pytest
import torch
from safetensors.torch import save_file

from vmt.whole_file import LITTER_AGE, drop_partials, whole_file, write_json


def test_a_file_is_there_whole(tmp_path):
    with whole_file(tmp_path / "new" / "a.json") as file:
        file.write_text("1")
        assert not (tmp_path / "new" / "a.json").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_what_was_there_stays_if_writing_fails(tmp_path):
    (tmp_path / "a.json").write_text("before")
    with pytest.raises(ValueError, match="in the middle"), whole_file(tmp_path / "a.json") as file:
        file.write_text("hal")
        raise ValueError("in the middle")
    assert (tmp_path / "a.json").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"], "and nothing half-written beside it"


def test_json_is_written_whole(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"grün": [1, None]})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "new" / "a.json", {"grün": [1, object()]})
    assert json.loads((tmp_path / "new" / "a.json").read_text(encoding="utf-8")) == {"grün": [1, None]}


def test_whoever_may_read_a_new_file_may_read_this_one(tmp_path):
    (tmp_path / "plain").write_text("1")
    with whole_file(tmp_path / "weights.safetensors") as file:
        save_file({"a": torch.zeros(1)}, file)
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_killed_writes_have_left_is_removed(tmp_path):
    for name, age in (("a_1.partial", 2), ("b_1.partial", 2), ("a_2.partial", 0.5), ("a_3.safetensors", 2)):
        (tmp_path / name).write_text("half")
        then = time.time() - age * LITTER_AGE
        os.utime(tmp_path / name, (then, then))
    drop_partials(tmp_path, "a_*")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_2.partial", "a_3.safetensors", "b_1.partial"]
    drop_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_2.partial", "a_3.safetensors"]
    drop_partials(tmp_path / "none")
