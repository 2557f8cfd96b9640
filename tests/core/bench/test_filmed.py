"""Cases of a user's folder: what its manifest may say, and how a result is measured without a known motion."""

import json
from random import Random

import pytest

from vmt.bench import transfer
from vmt.bench.filmed import filmed_cases
from vmt.bench.runs import BenchRuns
from vmt.errors import InputError
from vmt.synthetic.render import render
from vmt.synthetic.sample import sample_scene
from vmt.video import ReferenceConfig, write_video

CONFIG = ReferenceConfig(frames=9, width=64, height=64)


@pytest.fixture
def folder(tmp_path):
    write_video(tmp_path / "a.mp4", render(sample_scene(Random(3), "single")).frames, 16)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    listed = [
        {"video": "a.mp4", "prompt": "a robot", "seed": 7},
        {"video": "broken.mp4", "prompt": "a robot"},
        {"video": "missing.mp4", "prompt": "a robot"},
    ]
    (tmp_path / "cases.json").write_text(json.dumps(listed))
    return tmp_path


def test_cases_are_what_the_manifest_says(folder):
    first, second, _ = filmed_cases(folder, CONFIG)
    assert (first.caption, first.seed, first.about, first.name) == ("a robot", 7, "a.mp4", "filmed-000")
    assert second.seed == 1, "without a seed, its number"
    assert "a.mp4" in first.told and "a robot" in first.told


def test_clip_is_taken_as_the_loader_takes_it(folder):
    clip = filmed_cases(folder, CONFIG)[0].clip()
    assert clip.frames.shape == (9, 64, 64, 3) and clip.fps == 16


def test_the_reference_itself_has_its_motion_and_a_still_has_not(folder):
    case = filmed_cases(folder, CONFIG)[0]
    clip = case.clip()
    itself = case.figures(clip, clip.frames, None, True)
    still = case.figures(clip, clip.frames[:1].expand_as(clip.frames), clip.frames, False)
    assert itself["located_correlation"] > 0.99 and "leakage" not in itself
    assert not still["speed_ratio"] and "leakage" in still
    with pytest.raises(InputError, match="frames"):
        case.figures(clip, clip.frames[:5], None, False)


@pytest.mark.parametrize("number", [1, 2])
def test_a_file_that_is_no_video_is_told_when_it_is_needed(folder, number):
    case = filmed_cases(folder, CONFIG)[number]
    with pytest.raises(InputError, match=case.video.name):
        case.clip()


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (None, "has neither cases.json nor videos"), ("{", "cannot be read as JSON"), ("[]", "lists no case"),
        ("{}", "lists no case"),
        ('["a.mp4"]', "Case 0"), ('[{"video": "a.mp4"}]', "Case 0"), ('[{"video": 1, "prompt": "x"}]', "Case 0"),
        ('[{"video": "a.mp4", "prompt": "x", "seed": -1}]', "seed of 0 or more"),
        ('[{"video": "a.mp4", "prompt": "x", "seed": true}]', "Case 0"),
        ('[{"video": "a.mp4", "prompt": "x", "sead": 1}]', "Case 0"),
        ('[{"video": "../a.mp4", "prompt": "x"}]', "outside the folder"),
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_fit_is_refused(tmp_path, manifest, told):
    if manifest is not None:
        (tmp_path / "cases.json").write_text(manifest)
    with pytest.raises(InputError, match=told):
        filmed_cases(tmp_path, CONFIG)


def test_what_to_write_is_told_where_there_are_videos_only(tmp_path):
    for name in ("b.MOV", "a.mp4", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"no cases\.json, only 2 videos.* \[\{\"video\": \"a\.mp4\", \"prompt\": "):
        filmed_cases(tmp_path, CONFIG)
    with pytest.raises(InputError, match="is no folder"):
        filmed_cases(tmp_path / "nowhere", CONFIG)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("a.mp4", "Case 1 of cases.json is \"a.mp4\"; a video"), ({"video": "a.mp4"}, "Case 1"),
        ({"video": "a.mp4", "prompt": "x", "seed": -1}, "seed of 0 or more"),
        ({"video": "../a.mp4", "prompt": "x"}, "Case 1 of cases.json names '../a.mp4', outside"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_used_is_left_out_alone(folder, entry, told):
    listed = json.loads((folder / "cases.json").read_text())
    listed.insert(1, entry)
    (folder / "cases.json").write_text(json.dumps(listed))
    cases = filmed_cases(folder, CONFIG)
    assert [bool(case.fault) for case in cases] == [False, True, False, False]
    assert [case.name for case in cases] == ["filmed-000", "filmed-001", "filmed-002", "filmed-003"]
    with pytest.raises(InputError, match="Case 1") as raised:
        cases[1].clip()
    assert told in str(raised.value)
    options = transfer.parse(["--clips", str(folder)])
    assert [other.name for other in transfer._others(options, "filmed", cases)] == [
        "filmed-002", "filmed-002", "filmed-003", "filmed-000",
    ]  # fmt: skip


def test_an_entry_that_was_mended_is_run(folder, tmp_path, monkeypatch):
    """What is noted of a case that was left out is not held against another by its name."""
    (folder / "cases.json").write_text(json.dumps(["a.mp4", {"video": "a.mp4", "prompt": "a robot"}]))
    with BenchRuns(tmp_path / "out") as runs:
        bad = filmed_cases(folder, CONFIG)[0]
        assert "Case 0" in runs.result("unguided", bad, bad).skipped  # needs no host
        (folder / "cases.json").write_text(json.dumps([{"video": "a.mp4", "prompt": "a robot"}]))
        mended = filmed_cases(folder, CONFIG)[0]
        monkeypatch.setattr(runs, "_judged", lambda *_: {"speed_ratio": 1.0})
        assert mended.name == bad.name and runs.result("unguided", mended, mended).figures == {"speed_ratio": 1.0}
