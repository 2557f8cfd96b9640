"""Own draws corrected, and what is learned from them."""

from random import Random

import numpy as np
import pytest
import torch

from vmt.demo import corrections
from vmt.demo.corrections import Corrections, brisk_path, corrected, even_path, make_corrections
from vmt.demo.judgement import judge_sample
from vmt.demo.train_corrections import corrected_velocity, train_corrections
from vmt.demo.wan_dit import WanDiT, WanShape
from vmt.demo.wan_vae import WanVAE
from vmt.errors import InputError
from vmt.metrics.centroid import object_mask
from vmt.metrics.trajectory import has_jump
from vmt.synthetic import render
from vmt.synthetic.sample import sample_scene, scene_is_held_out

TINY = WanShape(width=128, ffn=128, blocks=1)
ALL = np.ones(33, bool)
ROOM = (22.4, 105.6)


def line(to=(90.0, 100.0)):
    return np.linspace((40.0, 30.0), to, 33)


def longest(path):
    step = np.linalg.norm(np.diff(path, axis=0), axis=-1).clip(0.5)
    return step.max() / np.median(step)


class TestEvenPath:
    def test_an_even_path_stays(self):
        turn = np.linspace(0, 4, 33)
        for path in (line(), 64 + 30 * np.stack([np.sin(turn), np.cos(turn)], -1)):
            assert np.abs(even_path(path, ALL) - path).max() < 1

    @pytest.mark.parametrize("leap", [6.0, 20.0, 60.0])
    def test_a_leap_is_shared_out(self, leap):
        path = line((60.0, 60.0))
        path[20:, 1] += leap
        assert has_jump(path)
        even = even_path(path, ALL)
        assert longest(even) <= corrections.MOST
        assert np.abs(even - path).mean() < 0.25 * leap, "no further from where it was than it has to be"

    def test_what_is_not_trusted_does_not_count(self):
        path = line()
        lost = path.copy()
        lost[5:9] = (3.0, 120.0)
        trusted = ALL.copy()
        trusted[5:9] = False
        assert np.abs(even_path(lost, trusted) - path).max() < 0.5

    def test_no_path_is_too_wild(self):
        wild = np.random.default_rng(0).uniform(20, 100, (33, 2))
        assert longest(even_path(wild, ALL)) <= corrections.MOST


@pytest.fixture(scope="module")
def scene():
    """A line over a plain ground."""
    rng = Random("corrections")
    while True:
        scene = sample_scene(rng, "single")
        if scene.objects[0].motion == "line" and scene.ground.texture == "plain":
            return scene


def moved(scene, path):
    """The scene's clip with its thing on another path; the scene itself is left alone."""
    thing = scene.objects[0]
    before = thing.centre
    thing.centre = torch.as_tensor(path, dtype=torch.float32)
    try:
        return render(scene).frames
    finally:
        thing.centre = before


class TestBriskPath:
    def test_a_fast_path_is_only_made_even(self):
        path = line()
        assert np.array_equal(brisk_path(path, ALL, ROOM), even_path(path, ALL))

    @pytest.mark.parametrize("slow", [0.9, 0.6, 0.2])
    def test_a_slow_one_goes_the_same_way_faster(self, slow):
        path = 64 + slow * (line() - line().mean(0))
        step, brisk = np.linalg.norm(path[1] - path[0]), brisk_path(path, ALL, ROOM)
        faster = np.linalg.norm(np.diff(brisk, axis=0), axis=-1)
        assert faster == pytest.approx(np.clip(corrections.BRISK, step, corrections.FASTER * step), rel=0.01)
        along = (brisk[-1] - brisk[0]) @ (path[-1] - path[0])
        assert along == pytest.approx(np.linalg.norm(brisk[-1] - brisk[0]) * np.linalg.norm(path[-1] - path[0]))

    def test_it_stays_where_there_is_room(self):
        path = np.array(ROOM[0] + 2.0) + 0.5 * (line() - line().min(0))
        brisk = brisk_path(path, ALL, ROOM)
        assert np.ptp(brisk, 0).max() > 1.5 * np.ptp(path, 0).max()
        assert brisk.min() > ROOM[0] - 0.1 and brisk.max() < ROOM[1] + 0.1
        narrow = (ROOM[0], path.max() + 0.1)
        assert brisk_path(path, ALL, narrow).max() < narrow[1] + 0.5


class TestCorrected:
    def test_a_clip_that_jumps_is_drawn_evenly(self, scene):
        path = line()
        path[16:] += (0.0, 14.0)
        frames = moved(scene, path - (0, 14))
        before, after = judge_sample(scene, frames), judge_sample(scene, corrected(scene, frames))
        assert before.jumps and not after.jumps
        assert all(after.right.values()) and after.one_object == 1

    def test_a_clip_that_is_right_stays_nearly_as_it_is(self, scene):
        frames = render(scene).frames
        assert (corrected(scene, frames) - frames).abs().mean() < 0.004
        far = torch.from_numpy(corrections._around(object_mask(frames)))
        new = corrected(scene, frames)
        assert torch.equal(new[~far], frames[~far]), "pixels away from the thing are the very same"

    def test_a_second_thing_and_a_gap_are_mended(self, scene):
        frames = moved(scene, line())
        frames[10:13] = frames[0, 0, 0]  # nothing there
        frames[20:24] = torch.minimum(frames[20:24], frames[20:24].flip(1, 2))
        after = judge_sample(scene, corrected(scene, frames))
        assert after.one_object == 1 and after.visible.all() and not after.jumps

    def test_nothing_to_go_by(self, scene):
        assert corrected(scene, render(scene).frames[:, :1, :1].expand(-1, 128, 128, -1).contiguous()) is None

    def test_a_moving_ground_is_left_alone(self):
        rng = Random("tiles")
        while True:
            tiled = sample_scene(rng, "single")
            if tiled.ground.texture == "tiled":
                break
        frames = render(tiled).frames
        panned = torch.stack([frame.roll(2 * t, 1) for t, frame in enumerate(frames)])
        assert corrected(tiled, frames) is not None and corrected(tiled, panned) is None


@pytest.fixture
def draws():
    generator = torch.Generator().manual_seed(0)
    said = [torch.randn(3, 2, 16, 3, 4, 4, generator=generator).half() for _ in range(3)]
    end, shift = torch.randn(2, 3, 16, 3, 4, 4, generator=generator).half()
    return Corrections(*said, end, shift, torch.tensor([1.0, 0.5]), torch.ones(3, 16, dtype=torch.int64))


def test_the_velocity_leads_to_the_corrected_clip(draws):
    """x - sigma v is the draw's end plus its shift, whatever the guidance scale, since both prompts are corrected."""
    index, level = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1])
    wanted, unguided = (corrected_velocity(draws, index, level, torch.full((3,), null)) for null in (False, True))
    for cfg in (1.0, 4.0):
        before = draws.unguided + cfg * (draws.wanted.float() - draws.unguided)
        after = unguided + cfg * (wanted - unguided)
        sigma = draws.sigmas[level].view(-1, 1, 1, 1, 1)
        moved_by = -sigma * (after - before[index, level])
        torch.testing.assert_close(moved_by, draws.shift.float(), atol=1e-4, rtol=0)


def test_training_learns_the_correction_and_goes_on_from_its_checkpoint(tmp_path, draws, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    torch.manual_seed(0)
    clips = torch.randn(4, 16, 3, 4, 4).half(), torch.ones(4, 16, dtype=torch.int64)
    given = (tmp_path / "c", draws, clips)
    losses = []
    with pytest.raises(TimeoutError):
        train_corrections(*given, WanDiT(TINY), 60, 3e-3, until=0)
    finished = train_corrections(*given, WanDiT(TINY), 60, 3e-3, say=losses.append)
    again = train_corrections(*given, WanDiT(TINY), 60, 3e-3, say=lambda _: pytest.fail("it was finished"))
    for name, parameter in finished.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name))
    assert "50/60" in losses[0] and (finished.head.head.weight != 0).any()


def test_a_model_that_draws_nothing_cannot_be_corrected(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(corrections, "SHARD", 2)
    monkeypatch.setattr(corrections, "STEPS", 2)
    torch.manual_seed(0)
    dit, vae = WanDiT(TINY), WanVAE(4)
    with pytest.raises(InputError, match="Of 2 draws none"):
        make_corrections(tmp_path, dit, vae, 2, batch=2, say=lambda _: None)


def test_draws_of_chosen_colours_are_of_training_still():
    pairs = [("green", "grey"), ("red", "navy")]
    scenes = [corrections.own_scene(number, pairs) for number in range(40)]
    assert {(scene.objects[0].colour, scene.ground.colour) for scene in scenes} == set(pairs)
    assert len({scene.caption for scene in scenes}) > 20 and not any(map(scene_is_held_out, scenes))
    assert corrections.own_scene(3).caption == sample_scene(Random("own 3"), "single").caption


def test_corrections_are_made_once_and_kept(tmp_path, monkeypatch):
    """Draws are replaced by rendered clips that jump; what is kept of their ways belongs to them."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(corrections, "SHARD", 2)
    monkeypatch.setattr(corrections, "STEPS", 3)
    scenes = [sample_scene(Random(f"own {i}"), "single") for i in range(2)]
    monkeypatch.setattr(corrections, "decode", lambda vae, x: [moved(scene, line()) for scene in scenes])
    torch.manual_seed(0)
    dit, vae = WanDiT(TINY), WanVAE(4)
    draws = make_corrections(tmp_path, dit, vae, 2, batch=2, say=lambda _: None)
    assert draws.x.shape == draws.wanted.shape == (2, 3, 16, 9, 16, 16) and draws.x.dtype == torch.float16
    assert draws.shift.shape == draws.end.shape == (2, 16, 9, 16, 16) and draws.sigmas.tolist() == pytest.approx(
        [1, 10 / 11, 5 / 7]
    )
    first, second = draws.x[:, 0].float(), draws.x[:, 1].float()
    guided = draws.unguided[:, 0] + corrections.CFG * (draws.wanted[:, 0].float() - draws.unguided[:, 0])
    torch.testing.assert_close(second, first + (draws.sigmas[1] - 1) * guided, atol=5e-3, rtol=0)
    guided = draws.unguided[:, 2] + corrections.CFG * (draws.wanted[:, 2].float() - draws.unguided[:, 2])
    torch.testing.assert_close(draws.end.float(), draws.x[:, 2] - draws.sigmas[2] * guided, atol=5e-3, rtol=0)
    monkeypatch.setattr(corrections, "decode", lambda *_: pytest.fail("made again"))
    again = make_corrections(tmp_path, dit, vae, 2, batch=2, say=lambda _: None)
    assert all(torch.equal(a, b) for a, b in zip(draws, again, strict=True))
