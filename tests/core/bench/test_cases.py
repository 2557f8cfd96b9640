"""Cases: the same everywhere, of other words than their reference, and of combinations that training never shows."""

import json
from pathlib import Path

import pytest

from vmt.bench import cases as module
from vmt.bench.cases import SPLITS, bench_cases, write_split
from vmt.bench.motions import CATEGORIES, MOTIONS
from vmt.errors import InputError
from vmt.synthetic import is_held_out, render

SPLIT = Path(module.__file__).parent / "splits" / "v1.json"


def words(scene):
    found = [word for thing in scene.objects for word in (thing.colour, thing.shape)]
    return {*found, scene.ground.colour, *([scene.figure.colour] if scene.figure else [])}


@pytest.mark.parametrize("category", CATEGORIES)
class TestEachCategory:
    def test_prompt_shares_no_word_with_its_reference(self, category):
        for case in bench_cases(category, 40):
            assert not words(case.prompt) & words(case.reference)
            assert len(case.prompt.objects) == len(case.reference.objects)
            assert (case.prompt.figure is None) == (case.reference.figure is None)
            for scene in (case.reference, case.prompt):
                assert all(is_held_out(o.colour, o.shape, scene.ground.colour) for o in scene.objects)

    def test_all_motions_take_turns(self, category):
        count = len(MOTIONS[category])
        names = [case.motion.name for case in bench_cases(category, count)]
        assert len(set(names)) == count
        assert len({name.split()[0] for name in names[:8]}) >= 3

    def test_a_case_does_not_depend_on_how_many_there_are(self, category):
        assert bench_cases(category, 3)[2].listed() == bench_cases(category, 5)[2].listed()
        assert bench_cases(category, 1, seed=1)[0].listed() != bench_cases(category, 1)[0].listed()

    def test_further_prompts_share_the_reference_alone(self, category):
        cases = bench_cases(category, 2, prompts=3)
        assert [case.name[len(category) :] for case in cases] == [
            f"-{number:03d}{further}" for number in (0, 1) for further in ("", "-prompt1", "-prompt2")
        ]
        assert [case.listed() for case in cases[::3]] == [case.listed() for case in bench_cases(category, 2)]
        for case, first in zip(cases, [cases[0]] * 3 + [cases[3]] * 3, strict=True):
            assert case.clip_name == first.name and case.listed()["places"] == first.listed()["places"]
            assert case.reference.caption == first.reference.caption
            assert not words(case.prompt) & words(case.reference)
        assert len({case.seed for case in cases}) == 6 and len({case.caption for case in cases}) > 3

    def test_things_stay_in_the_frame(self, category):
        for case in bench_cases(category, 20):
            clip = render(case.reference)
            assert clip.visible.all()
            if len(clip.masks):
                edge = [clip.masks[..., 0], clip.masks[..., -1], clip.masks[..., 0, :], clip.masks[..., -1, :]]
                assert max(side.max() for side in edge) < 0.6

    def test_public_list_is_what_is_drawn(self, category):
        listed = json.loads(SPLIT.read_text(encoding="utf-8"))
        assert listed["seed"] == SPLITS["v1"]
        listed = [case for case in listed["cases"] if case["case"].startswith(f"{category}-")]
        assert len(listed) == 64
        for case, drawn in zip(listed, bench_cases(category, 64), strict=True):
            mine = drawn.listed()
            for place, other in zip(mine.pop("places"), case.pop("places"), strict=True):
                assert place == pytest.approx(other, abs=0.11)
            assert mine == case


def test_camera_grounds_can_be_followed():
    assert all(case.reference.ground.texture != "plain" for case in bench_cases("camera", 20))


def test_split_is_written_as_it_lies_there(tmp_path):
    write_split("v1", tmp_path / "v1.json", num=2)
    assert len(json.loads((tmp_path / "v1.json").read_text())["cases"]) == 8


@pytest.mark.parametrize(("category", "num"), [("dance", 1), ("camera", 0)])
def test_bad_asking_is_refused(category, num):
    with pytest.raises(InputError):
        bench_cases(category, num)
