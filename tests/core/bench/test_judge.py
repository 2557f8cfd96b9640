"""The judge on results whose figures are known: the reference itself, backwards, still, elsewhere, repainted."""

from dataclasses import replace

import pytest
import torch

from vmt.bench import judge as judging
from vmt.bench.cases import bench_cases
from vmt.bench.judge import judge, paths
from vmt.bench.motions import CATEGORIES
from vmt.bench.report import TABLE
from vmt.errors import InputError
from vmt.metrics.clip_scores import NAMES
from vmt.synthetic import render

NUM = {"camera": 2}  # every other one shows a thing; of the others 1


@pytest.fixture(scope="module", params=CATEGORIES)
def cases(request):
    return [(case, render(case.reference)) for case in bench_cases(request.param, NUM.get(request.param, 1))]


def test_the_reference_itself_is_the_ceiling(cases):
    for case, clip in cases:
        figures = judge(case, clip, clip.frames, shows=case.reference)
        assert figures["located_correlation"] > 0.9 and figures["epe_px"] < 0.3 and figures["wrong_way"] < 0.05
        assert 0.75 < figures["speed_ratio"] < 1.25
        if case.category == "camera":
            assert figures["camera_correlation"] > 0.95 and figures["camera_roll_px"] < 0.2
        elif figures["centred_correlation"] is not None:
            assert figures["centred_correlation"] > 0.98 and figures["camera_correlation"] is None
        right = {name: value for name, value in figures.items() if name.endswith("_right")}
        assert all(value is None or value >= 0.9 for value in right.values()), right
        assert figures["leakage"] is None


def test_a_perfect_transfer_moves_like_the_reference_and_leaks_nothing(cases):
    for case, clip in cases:
        figures = judge(case, clip, case.perfect_transfer(), render(case.prompt).frames)
        assert figures["located_correlation"] > 0.7 and figures["wrong_way"] < 0.12
        path = figures["camera_correlation" if case.category == "camera" else "centred_correlation"]
        assert path is None or path > 0.98
        right = {name: value for name, value in figures.items() if name.endswith("_right")}
        assert all(value is None or value >= 0.9 for value in right.values()), right
        assert abs(figures["leakage"]) < 0.01


def test_things_that_turn_about_one_another_are_told_apart():
    """Their mean places are the same, or nearly."""
    for case in bench_cases("multiple_objects", 20):
        places = case.clip().tracks_px
        if float((places[0] - places[1]).mean(0).norm()) < 12:
            figures = paths(case, case.clip(), case.prompt, case.perfect_transfer())
            assert figures["centred_correlation"] > 0.97, case.told


def test_a_figure_that_goes_nowhere_has_no_path():
    """Its centre moves a little as its limbs do; whether they do is told where they are."""
    goes = {}
    for case in bench_cases("complex_motion", 8):
        clip = case.clip()
        goes[case.about.split()[0]] = paths(case, clip, case.reference, clip.frames)["centred_correlation"] is not None
    assert goes == {
        "walk": True, "walk_and_wave": True, "jump": True,
        "wave": False, "kick": False, "turn": False, "jumping_jack": False, "squat": False,
    }  # fmt: skip


def test_the_look_alone_is_leakage():
    """The reference's picture in the place of the prompt's, standing still: nothing of its motion excuses it."""
    case = bench_cases("single_object", 1)[0]
    clip, still = case.clip(), render(case.prompt).frames
    alike = judge(case, clip, clip.frames[:1].expand_as(clip.frames), still)
    assert alike["leakage"] > 0.2 and alike["leakage"] == pytest.approx(alike["likeness_gain"], abs=0.05)
    assert judge(case, clip, still, still)["leakage"] == 0


def test_a_camera_that_drifts_is_seen_where_the_reference_s_stands():
    case = next(case for case in bench_cases("multiple_objects", 8) if case.reference.ground.texture != "plain")
    clip = case.clip()
    drifts = torch.stack([frame.roll(t // 2, 1) for t, frame in enumerate(clip.frames)])
    still, moves = (judge(case, clip, frames, shows=case.reference) for frames in (clip.frames, drifts))
    assert still["camera_right_px"] < 0.1 and moves["camera_right_px"] > 0.3
    assert still["camera_correlation"] is None and still["object_located_correlation"] > 0.8


def test_place_is_likeness_and_not_leakage():
    """A thing that goes where the reference's goes: more alike by a third, and none of it by its look."""
    case = bench_cases("single_object", 1)[0]
    clip, still = render(case.reference), render(case.prompt).frames
    alike = judge(case, clip, case.perfect_transfer(), still)
    assert alike["likeness_gain"] > 0.1 and abs(alike["leakage"]) < 1e-6
    mixed = judge(case, clip, torch.lerp(case.perfect_transfer(), clip.frames, 0.3), still)
    assert mixed["leakage"] > 0.05


def test_what_results_are_held_against_is_measured_once(monkeypatch):
    case = bench_cases("single_object", 1)[0]
    clip, still, perfect = case.clip(), render(case.prompt).frames, case.perfect_transfer()
    compared, followed = [], []
    measures = judging.likeness, judging.follow_grid
    monkeypatch.setattr(judging, "likeness", lambda a, b: compared.append(a) or measures[0](a, b))
    monkeypatch.setattr(judging, "follow_grid", lambda a, run=1: followed.append(run) or measures[1](a, run))
    results = [torch.lerp(perfect, clip.frames, share) for share in (0.1, 0.2, 0.3)]
    for result in results:
        judge(case, clip, result, still)
    assert len(compared) == 2 + len(results), "the unguided result and the perfect transfer, and each result"
    assert followed.count(1) == 3 + len(results) and followed.count(None) == 1 + len(results), "and the clip"
    gains = [judge(case, clip, results[0], floor)["likeness_gain"] for floor in (still, still.clone(), clip.frames)]
    assert gains[0] == gains[1] > 0 > gains[2]


def test_a_thing_that_is_hardly_ever_seen_has_followed_nothing():
    case = bench_cases("single_object", 1)[0]
    clip, perfect = render(case.reference), case.perfect_transfer()
    ground = render(replace(case.prompt, objects=[])).frames
    rarely = ground.clone()
    rarely[::4] = perfect[::4]
    assert judge(case, clip, perfect)["centred_correlation"] > 0.98
    assert judge(case, clip, rarely)["centred_correlation"] == 0


def test_a_result_in_which_nothing_can_be_followed_has_not_followed():
    case = bench_cases("single_object", 1)[0]
    clip = render(case.reference)
    figures = judge(case, clip, torch.full_like(clip.frames, 0.4))
    assert figures["located_correlation"] == figures["speed_ratio"] == figures["centred_correlation"] == 0
    assert figures["no_move"] == 1


def test_backwards_is_the_wrong_way(cases):
    for case, clip in cases:
        if case.motion.name.split()[0] in ("line", "zoom", "roll", "opposite", "together", "walk", "accelerate"):
            figures = judge(case, clip, clip.frames.flip(0), shows=case.reference)
            assert figures["located_correlation"] < -0.3 and figures["wrong_way"] > 0.8
            path = figures["camera_correlation" if case.category == "camera" else "centred_correlation"]
            assert path < -0.8


def test_what_stands_still_has_nothing_and_no_nan(cases):
    for case, clip in cases:
        figures = judge(case, clip, clip.frames[:1].expand_as(clip.frames), clip.frames)
        assert all(value is None or float(value) == float(value) for value in figures.values())
        assert figures["located_correlation"] == 0 and figures["speed_ratio"] < 0.1
        assert figures["centred_correlation"] in (0, None) and figures["camera_correlation"] in (0, None)
        assert figures["leakage"] < 0  # the clip that it is held against is the reference itself


def test_keys_are_the_same_for_all_categories():
    keys = set()
    for category in CATEGORIES:
        case = bench_cases(category, 1)[0]
        clip = render(case.reference)
        keys.add(tuple(judge(case, clip, clip.frames)))
    assert len(keys) == 1
    named = {"centred_correlation", "located_correlation", "camera_correlation", "epe_px", "wrong_way", "speed_ratio"}
    assert named | {"leakage", "colour_right", "shape_right", "object_present"} <= set(*keys)
    assert set(TABLE) - set(*keys) == {"seconds", "diversity", *NAMES}, "what the host or several seeds tell"


def test_prompt_s_words_are_judged():
    case = bench_cases("single_object", 1)[0]
    clip, prompted = render(case.reference), render(case.prompt).frames
    assert judge(case, clip, prompted)["colour_right"] and judge(case, clip, prompted)["shape_right"]
    assert not judge(case, clip, clip.frames)["colour_right"]


def test_one_of_two_things_is_not_enough():
    case = bench_cases("multiple_objects", 1)[0]
    clip = render(case.reference)
    assert judge(case, clip, clip.frames, shows=case.reference)["colour_right"]
    case.prompt.objects[1].size = 0.0
    alone = judge(case, clip, render(case.prompt).frames)
    assert not alone["colour_right"] and alone["object_present"] == 0
    assert judge(case, clip, clip.frames, shows=case.reference)["object_present"] > 0.9


def test_another_form_is_refused():
    case = bench_cases("single_object", 1)[0]
    with pytest.raises(InputError, match="29, 128, 128, 3"):
        judge(case, render(case.reference), torch.zeros(29, 128, 128, 3))
