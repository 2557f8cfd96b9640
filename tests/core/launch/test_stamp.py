from vmt.launch import stamp


def test_written_stamp_reads_back_and_leaves_nothing_beside_it(tmp_path):
    stamp.write(tmp_path / "stamp.json", {"recipe": "abc"})
    assert stamp.read(tmp_path / "stamp.json") == {"recipe": "abc"}
    assert [file.name for file in tmp_path.iterdir()] == ["stamp.json"]


def test_missing_broken_or_foreign_content_is_no_stamp(tmp_path):
    assert stamp.read(tmp_path / "none.json") is None
    for content in ('{"recipe": "ab', "[]", "\x00"):
        (tmp_path / "stamp.json").write_text(content)
        assert stamp.read(tmp_path / "stamp.json") is None


def test_fingerprint_tells_every_part():
    same = stamp.fingerprint("torch==2.13.*", ["numpy", "av"])
    assert same == stamp.fingerprint("torch==2.13.*", ["numpy", "av"])
    others = [stamp.fingerprint("torch==2.14.*", ["numpy", "av"]), stamp.fingerprint("torch==2.13.*", ["numpy"])]
    assert same not in others
