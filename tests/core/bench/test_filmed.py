"""Cases of a user's folder: what its manifest may say, and how a result is measured without a known motion."""

import json
from random import Random

import pytest

from vmt.bench.filmed import filmed_cases
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
        (None, "has no cases.json"), ("{", "cannot be read as JSON"), ("[]", "lists no case"), ("{}", "lists no case"),
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
