import pytest

from vmt.whole_file import whole_file


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
