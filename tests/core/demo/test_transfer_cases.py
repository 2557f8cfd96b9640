import json
from collections import Counter

import pytest
import torch

from vmt.demo.transfer_cases import MOTIONS, held_out_prompts, score_transfer, transfer_cases
from vmt.errors import InputError
from vmt.metrics.centroid import object_track
from vmt.metrics.summary import summarise
from vmt.synthetic import Scene, SceneObject, is_held_out, render
from vmt.synthetic.sample import scene_is_held_out


@pytest.fixture(scope="module")
def cases():
    return transfer_cases(18)


def test_prompts_are_held_out_and_the_same_each_time():
    prompts = held_out_prompts(24)
    for scene in prompts:
        (thing,) = scene.objects
        assert is_held_out(thing.colour, thing.shape, scene.ground.colour)
    captions = [scene.caption for scene in prompts]
    assert captions == [scene.caption for scene in held_out_prompts(24)]
    assert captions[:8] == [scene.caption for scene in held_out_prompts(8)]
    assert captions != [scene.caption for scene in held_out_prompts(24, seed=1)]
    assert len(set(captions)) > 15


def test_cases_are_the_same_each_time(cases):
    def words(cases):
        return [(c.reference.caption, c.prompt.caption, c.seed, c.reference.objects[0].centre.tolist()) for c in cases]

    assert json.dumps(words(cases)) == json.dumps(words(transfer_cases(18)))
    assert words(transfer_cases(3)) == words(cases)[:3]
    assert words(transfer_cases(3, seed=1)) != words(cases)[:3]


def test_prompt_differs_from_the_reference_in_everything_that_is_judged(cases):
    for case in cases:
        (old,), (new,) = case.reference.objects, case.prompt.objects
        assert old.colour != new.colour and old.shape != new.shape
        assert case.reference.ground.colour != case.prompt.ground.colour
        assert is_held_out(new.colour, new.shape, case.prompt.ground.colour)
        assert scene_is_held_out(case.reference)
        assert 0 <= case.seed < 1 << 31
    assert len({case.seed for case in cases}) == len(cases)


def test_every_motion_comes_equally_often_and_is_wide_enough(cases):
    assert set(Counter(case.reference.objects[0].motion for case in cases).values()) == {18 // len(MOTIONS)}
    for case in cases:
        path = case.reference.objects[0].centre
        assert (path - path.mean(0)).square().sum(-1).mean().sqrt() > 5


def moved(case, path):
    """What the prompt names, on another path."""
    thing = case.prompt.objects[0]
    moved = SceneObject(thing.shape, thing.colour, thing.size, path, torch.zeros(len(path)))
    return render(Scene(case.prompt.ground, torch.eye(2, 3).expand(len(path), 2, 3), [moved])).frames


def test_perfect_transfer_scores_full(cases):
    for case in cases[:4]:
        path = case.reference.objects[0].centre
        score = score_transfer(path, moved(case, path), case.prompt)
        assert score["correlation"] > 0.999 and score["wrong_way"] == 0 and not score["still"]
        assert score["path_distance"] < 0.5 and score["endpoint_error"] < 0.8
        assert score["speed_ratio"] == pytest.approx(1, abs=0.1)
        assert all(score[f"{word}_right"] for word in ("colour", "ground", "texture", "shape"))
        assert score["one_object"] == 1 and score["no_jump"]


def test_reference_may_be_tracked_from_its_frames(cases):
    track, _ = object_track(render(cases[0].reference).frames)
    assert (
        score_transfer(track, moved(cases[0], cases[0].reference.objects[0].centre), cases[0].prompt)["correlation"]
        > 0.999
    )


def test_mirrored_motion_scores_minus_one(cases):
    path = cases[0].reference.objects[0].centre
    score = score_transfer(path, moved(cases[0], 127 - path), cases[0].prompt)
    assert score["correlation"] < -0.99 and score["wrong_way"] > 0.9


def test_thing_that_stands_or_is_missing_scores_nothing(cases):
    path = cases[0].reference.objects[0].centre
    standing = score_transfer(path, moved(cases[0], torch.full_like(path, 64.0)), cases[0].prompt)
    assert standing["correlation"] == 0 and standing["still"] and standing["no_move"] == 1
    assert standing["wrong_way"] is None and standing["speed_ratio"] < 0.1
    empty = render(Scene(cases[0].prompt.ground, cases[0].prompt.camera)).frames
    missing = score_transfer(path, empty, cases[0].prompt)
    assert missing["correlation"] == 0 and missing["still"] and not missing["no_jump"] and missing["one_object"] == 0
    assert not missing["colour_right"] and missing["ground_right"]


def test_reference_itself_has_the_wrong_colour_and_shape(cases):
    case = cases[1]
    score = score_transfer(case.reference.objects[0].centre, render(case.reference).frames, case.prompt)
    assert score["correlation"] > 0.999
    assert not (score["colour_right"] or score["shape_right"] or score["ground_right"])


def test_scores_can_be_summed_up(cases):
    paths = [case.reference.objects[0].centre for case in cases[:3]]
    scores = [score_transfer(path, moved(case, path), case.prompt) for path, case in zip(paths, cases, strict=False)]
    scores.append(score_transfer(paths[0], moved(cases[0], torch.full_like(paths[0], 64.0)), cases[0].prompt))
    figures = summarise(scores)
    assert figures["correlation"]["mean"] == pytest.approx(0.75, abs=0.01) and figures["correlation"]["n"] == 4
    assert figures["wrong_way"]["undefined"] == 1 and figures["colour_right"]["mean"] == 1


def test_other_lengths_are_refused(cases):
    with pytest.raises(InputError, match="33 frames, the clip 17"):
        score_transfer(cases[0].reference.objects[0].centre, torch.zeros(17, 128, 128, 3), cases[0].prompt)
