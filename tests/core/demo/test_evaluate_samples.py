import json
from random import Random

import pytest
import torch

from vmt.demo import evaluate, evaluate_samples
from vmt.demo.judgement import judge_sample
from vmt.demo.train import DIT_FILE, VAE_FILE
from vmt.demo.train_vae import save_half
from vmt.demo.wan_dit import WanDiT, WanShape
from vmt.demo.wan_vae import WanVAE
from vmt.synthetic import Ground, Scene, SceneObject, render, sample_scene


def figures_of(samples):
    return evaluate_samples.shares(judge_sample(scene, frames) for scene, frames in samples)


@pytest.fixture(scope="module")
def samples():
    scenes = [sample_scene(Random(f"evaluated {i}"), "single", num_frames=9, held_out=True) for i in range(8)]
    return [(scene, render(scene).frames) for scene in scenes]


def test_true_clips_are_all_right(samples):
    figures = figures_of(samples)
    assert figures.pop("num") == 8
    assert set(figures) == {"colour_right", "ground_right", "texture_right", "shape_right", "one_object", "no_jump"}
    assert figures["texture_right"] >= 7 / 8
    assert all(figures[name] == 1 for name in figures if name != "texture_right")


def test_clips_of_other_prompts_are_wrong_where_they_differ(samples):
    scenes = [scene for scene, _ in samples]
    pairs = [(scenes[(i + 1) % 8], frames) for i, (_, frames) in enumerate(samples)]
    figures = figures_of(pairs)
    for name, word in (
        ("colour_right", lambda s: s.objects[0].colour),
        ("shape_right", lambda s: s.objects[0].shape),
        ("ground_right", lambda s: s.ground.colour),
    ):
        assert figures[name] == sum(word(scenes[(i + 1) % 8]) == word(scenes[i]) for i in range(8)) / 8
        assert figures[name] < 1
    assert figures["one_object"] == 1


def drawn(*paths, colours=("red", "white")):
    """A scene of a star, and a clip of stars on each of these paths (9,2)."""
    things = [
        SceneObject("star", colour, 16.0, path, torch.zeros(9)) for colour, path in zip(colours, paths, strict=False)
    ]
    ground, camera = Ground("navy", "plain"), torch.eye(2, 3).expand(9, 2, 3)
    return Scene(ground, camera, things[:1]), render(Scene(ground, camera, things)).frames


PATH = torch.stack([torch.linspace(30, 70, 9), torch.linspace(35, 60, 9)], -1)


def test_second_thing_of_any_colour_is_counted():
    scene, twins = drawn(PATH, PATH + 38)
    _, alone = drawn(PATH)
    assert figures_of([(scene, twins)])["one_object"] == 0
    figures = figures_of([(scene, torch.cat([alone[:4], twins[4:]]))])
    assert figures["one_object"] == pytest.approx(4 / 9) and figures["colour_right"] == figures["shape_right"] == 1


def test_jump_is_counted():
    jumping = PATH.clone()
    jumping[5:] += 22
    scene, smooth = drawn(PATH)
    figures = figures_of([(scene, drawn(jumping)[1]), (scene, smooth)])
    assert figures["no_jump"] == 0.5 and figures["one_object"] == 1


def test_empty_picture_is_wrong(samples):
    scene, _ = samples[0]
    figures = figures_of([(scene, render(Scene(scene.ground, scene.camera)).frames)])
    assert figures["colour_right"] == figures["shape_right"] == figures["one_object"] == figures["no_jump"] == 0
    assert figures["ground_right"] == 1


def test_command_writes_figures_and_a_sheet(tmp_path, capsys):
    torch.manual_seed(0)
    save_half(WanDiT(WanShape(128, 128, 1)), tmp_path / DIT_FILE, {})
    save_half(WanVAE(4), tmp_path / VAE_FILE, {})
    out = tmp_path / "out"
    options = ["--num", "2", "--steps", "1", "--batch", "2", "--weights", str(tmp_path), "--out", str(out)]
    assert evaluate.main(["samples", *options]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures == json.loads((out / "figures.json").read_text()) and figures["num"] == 2
    assert figures["colour_right"] < 1 or figures["shape_right"] < 1  # an untrained model draws noise
    assert (out / "sheet.png").stat().st_size > 1000
    clips = json.loads((out / "clips.json").read_text())
    assert [clip["caption"] for clip in clips] == [scene.caption for scene in evaluate_samples.held_out_prompts(2)]


def test_command_without_weights_says_what_to_do(tmp_path, capsys):
    assert evaluate.main(["samples", "--weights", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "vmt train demo" in capsys.readouterr().err
