from functools import partial
from random import Random

import pytest
import torch

from vmt.demo.corrections import Corrections
from vmt.demo.frame_guidance import FrameGuidance, Narrowing
from vmt.demo.train import DIT_FILE, VAE_FILE, first_dit, main, parse
from vmt.demo.train_dit import (
    SHARD,
    dit_loss,
    draw_sigma,
    frames_of_step,
    latent_scale,
    make_latents,
    noised,
    train_dit,
)
from vmt.demo.train_vae import CROP, CROP_FRAMES, _crops, save_half
from vmt.demo.training import Run, SceneStream, rate, stream
from vmt.demo.vocabulary import tokenize
from vmt.demo.wan_dit import WanDiT, WanShape
from vmt.demo.wan_vae import WanVAE
from vmt.flow_matching import shifted_sigmas
from vmt.synthetic import is_held_out, render, sample_scene

TINY = WanShape(width=128, ffn=128, blocks=1)


def small_module():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def train(run, module, steps):
    for _ in range(steps):
        x = torch.randn(16, 6, generator=torch.Generator().manual_seed(run.step))
        (module(x) - x[:, :3].sin()).square().mean().backward()
        run.update(rate(run.step, 40))


def new_run(path, module):
    return Run(module, {"0.weight", "2.weight"}, 0.05, path, ema=0.9)


class TestCheckpoint:
    def test_interrupted_training_equals_an_uninterrupted_one(self, tmp_path):
        whole = small_module()
        straight = new_run(tmp_path / "a.safetensors", whole)
        train(straight, whole, 12)
        module = small_module()
        run = new_run(tmp_path / "b.safetensors", module)
        train(run, module, 5)
        run.seconds = 12.5
        run.save()
        train(run, module, 3)  # lost with the process
        again = small_module()
        resumed = new_run(tmp_path / "b.safetensors", again)
        assert resumed.step == 5 and resumed.seconds == 12.5
        train(resumed, again, 7)
        assert resumed.step == straight.step == 12 and 12.5 < resumed.seconds < 112.5, "seconds go on from there"
        for name, parameter in straight.parameters.items():
            assert torch.equal(parameter, resumed.parameters[name]), name
            assert torch.equal(straight.average[name], resumed.average[name]), name

    def test_a_save_that_dies_leaves_the_old_checkpoint(self, tmp_path, monkeypatch):
        module = small_module()
        run = new_run(tmp_path / "run.safetensors", module)
        train(run, module, 2)
        run.save()
        kept = (tmp_path / "run.safetensors").read_bytes()
        train(run, module, 2)

        def dies(*_):
            raise OSError("disk full")

        monkeypatch.setattr("vmt.demo.training.os.replace", dies)
        with pytest.raises(OSError):
            run.save()
        assert (tmp_path / "run.safetensors").read_bytes() == kept
        assert new_run(tmp_path / "run.safetensors", small_module()).step == 2

    def test_average_follows_slowly(self, tmp_path):
        module = small_module()
        run = new_run(tmp_path / "run.safetensors", module)
        train(run, module, 1)
        first = {name: p.detach().clone() for name, p in run.parameters.items()}
        for name, average in run.average.items():
            assert not torch.equal(average, first[name])
        train(run, module, 30)
        spread = sum((run.average[n] - p).norm() for n, p in run.parameters.items())
        moved = sum((first[n] - p).norm() for n, p in run.parameters.items())
        assert 0 < spread < moved


def test_rate_warms_up_stays_and_falls_to_nothing():
    factors = [rate(step, 1000) for step in range(1001)]
    assert factors[0] == 0.01 and factors[99] == factors[100] == factors[500] == 1
    assert factors[750] == pytest.approx(0.5) and factors[999] == pytest.approx(0.002) and factors[1000] == 0
    assert all(0 <= factor <= 1 for factor in factors)


class TestSceneStream:
    DATA = SceneStream("a test", batches=12, batch=6, num_frames=5, size=64)

    def test_nothing_held_out_is_ever_drawn(self):
        things = [(o.colour, o.shape, scene.ground.colour, o.motion)
                  for data in (self.DATA, SceneStream("another", 60, 8, num_frames=3))
                  for index in range(len(data)) for scene in data.scenes(index) for o in scene.objects]  # fmt: skip
        assert len(things) > 300
        assert not [thing for thing in things if is_held_out(*thing)]

    def test_batch_depends_on_its_number_and_the_name_alone(self):
        again = SceneStream("a test", batches=99, batch=6, num_frames=5, size=64)
        first, captions = self.DATA[3]
        second, same = again[3]
        assert captions == same and set(first) == set(second)
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert SceneStream("other", 12, 6, 5, 64)[3][1] != captions != self.DATA[4][1]

    def test_kinds_that_are_named_are_drawn_alone(self):
        scenes = SceneStream("a test", 1, 60, 5, 64, kinds=("camera", "camera", "single_camera")).scenes(0)
        assert all(scene.camera_motion for scene in scenes)
        assert 8 <= sum(bool(scene.objects) for scene in scenes) <= 32

    def test_captions_belong_to_the_scenes_and_are_understood(self):
        batch, captions = self.DATA[0]
        assert captions == [scene.caption for scene in self.DATA.scenes(0)]
        assert len(batch["texture"]) == len(captions) == 6
        assert not any(tokenize(caption)[1] for caption in captions)

    def test_stream_goes_on_from_any_batch(self):
        whole = [captions for _, captions in stream(self.DATA)]
        assert whole[9:] == [captions for _, captions in stream(self.DATA, start=9)]
        assert len(whole) == 12


class TestVaeTrainingData:
    def test_crops_are_frames_of_the_right_form(self):
        for length in (1, CROP_FRAMES):
            frames = _crops(3, 4, length, Random(0), "cpu")
            assert frames.shape == (4, 3, length, CROP, CROP)
            assert frames.min() >= -1 and frames.max() <= 1 and frames.std() > 0.05

    def test_steps_differ_and_repeat(self):
        assert torch.equal(_crops(3, 2, 5, Random(1), "cpu"), _crops(3, 2, 5, Random(1), "cpu"))
        assert not torch.equal(_crops(3, 2, 5, Random(1), "cpu"), _crops(4, 2, 5, Random(1), "cpu"))

    def test_most_crops_show_a_thing(self):
        """Seen as a saturated or white area: the grounds have none."""
        frames = torch.cat([_crops(step, 4, 1, Random(step), "cpu") for step in range(10)])[:, :, 0]
        bright = (frames.amax(1) > 0.35).float().mean((1, 2))
        assert (bright > 0.02).float().mean() > 0.5


@pytest.fixture(scope="module")
def latents():
    """Images and clips as `make_latents` gives them, 4x4 in space."""

    def make(count, frames):
        words = [tokenize(sample_scene(Random(i), num_frames=5).caption)[0] for i in range(count)]
        latent = torch.randn(count, 16, frames, 4, 4, generator=torch.Generator().manual_seed(frames))
        return latent.half(), torch.tensor(words)

    return make(6, 1), make(6, 9)


class TestDitTraining:
    def test_stopped_and_taken_up_again(self, tmp_path, latents, monkeypatch):
        monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # a minute for three steps otherwise
        with pytest.raises(TimeoutError, match="run the command again"):
            train_dit(tmp_path / "c", *latents, WanDiT(TINY), steps=8, batch=1, lr=1e-3, say=lambda _: None, until=0)
        said = []
        train_dit(tmp_path / "c", *latents, WanDiT(TINY), steps=8, batch=1, lr=1e-3, say=said.append)
        assert said == []  # it says something at step 0 only, which was done before
        finished = train_dit(
            tmp_path / "c",
            *latents,
            WanDiT(TINY),
            steps=8,
            batch=1,
            lr=1e-3,
            say=lambda _: pytest.fail("it was finished"),
        )
        assert all(torch.isfinite(p).all() for p in finished.parameters())
        assert (finished.head.head.weight != 0).any()

    def test_further_training_begins_with_the_finished_weights(self, tmp_path):
        torch.manual_seed(0)
        finished = WanDiT(TINY)
        save_half(finished, tmp_path / DIT_FILE, {})
        further = first_dit(parse(["--further", "--out", str(tmp_path)]))
        for name, parameter in further.named_parameters():
            assert parameter.requires_grad
            torch.testing.assert_close(parameter.data, finished.get_parameter(name).data, atol=1e-3, rtol=1e-3)
        assert further.training
        afresh = first_dit(parse(["--blocks", "1", "--out", str(tmp_path)]))
        assert torch.equal(afresh.head.head.weight, torch.zeros_like(afresh.head.head.weight))

    @pytest.mark.parametrize("steps", [(2, 0), (0, 2), (2, 2)])
    def test_each_further_run_goes_on_from_the_weights(self, tmp_path, monkeypatch, steps):
        """Steps on the data, steady ones, and both."""
        monkeypatch.setattr(torch, "compile", lambda function, **_: function)
        monkeypatch.setattr("vmt.demo.train_dit.SHARD", {1: 32, 33: 8})
        torch.manual_seed(0)
        monkeypatch.setattr("vmt.demo.train.FrameGuidance", partial(FrameGuidance, (Narrowing((0,), 0, 3.0),)))
        dit = WanDiT(TINY)
        for weight in (dit.head.head.weight, dit.blocks[0].self_attn.o.weight):  # a new model is blind to its frames
            torch.nn.init.normal_(weight, std=0.05)
        save_half(dit, tmp_path / DIT_FILE, {})
        save_half(WanVAE(4), tmp_path / VAE_FILE, {})
        options = [
            "--further", "--images", "32", "--clips", "8", "--first-clip", "8", "--batch", "1",
            "--steps", str(steps[0]), "--steady-steps", str(steps[1]), "--corrections", "0",
            "--device", "cpu", "--out", str(tmp_path), "--work", str(tmp_path / "work"),
        ]  # fmt: skip
        weights = [(tmp_path / DIT_FILE).read_bytes()]
        assert main([*options, "--minutes", "-1"]) == 3
        assert (tmp_path / DIT_FILE).read_bytes() == weights[0]  # stopped: the weights are those of before
        for _ in range(2):
            assert main(options) == 0
            weights.append((tmp_path / DIT_FILE).read_bytes())
        assert len(set(weights)) == 3
        assert [path.name for path in (tmp_path / "work" / "latents-33").iterdir()] == ["0001.safetensors"]
        assert not list((tmp_path / "work").glob("*checkpoint*"))

    def test_corrections_are_the_last_stage(self, tmp_path, monkeypatch):
        """Draws that can be corrected are put in the place of a blind model's."""
        monkeypatch.setattr(torch, "compile", lambda function, **_: function)
        monkeypatch.setattr("vmt.demo.train_dit.SHARD", {1: 32, 33: 8})
        torch.manual_seed(0)
        levels = shifted_sigmas(20, 5.0)[:-1]
        x, wanted, unguided = torch.randn(3, 2, 20, 16, 9, 16, 16).half()
        end, shift = torch.randn(2, 2, 16, 9, 16, 16).half()
        draws = Corrections(x, wanted, unguided, end, shift, levels, torch.ones(2, 16, dtype=torch.int64))
        monkeypatch.setattr("vmt.demo.train.make_corrections", lambda *_, **asked: draws if asked["first"] == 64 else 0)
        save_half(WanDiT(TINY), tmp_path / DIT_FILE, {})
        save_half(WanVAE(4), tmp_path / VAE_FILE, {})
        before = (tmp_path / DIT_FILE).read_bytes()
        options = [
            "--further", "--images", "32", "--clips", "8", "--steps", "0", "--steady-steps", "0",
            "--corrections", "2", "--first-draw", "64", "--correction-steps", "2",
            "--device", "cpu", "--out", str(tmp_path), "--work", str(tmp_path / "work"),
        ]  # fmt: skip
        assert main(options) == 0
        assert (tmp_path / DIT_FILE).read_bytes() != before

    @pytest.mark.parametrize("pairs", ["green", "green/grey,grey/green", "green/grey/navy", ""])
    def test_pairs_that_are_none_are_refused(self, pairs, capsys):
        with pytest.raises(SystemExit):
            parse(["--draw-pairs", pairs])
        assert "write green/grey" in capsys.readouterr().err
        assert parse(["--draw-pairs", "green/grey, red/navy"]).draw_pairs == (("green", "grey"), ("red", "navy"))

    def test_kinds_of_scenes_are_read(self, capsys):
        with pytest.raises(SystemExit):
            parse(["--kinds", "camera,crowd"])
        assert "'crowd' is no kind of scene" in capsys.readouterr().err
        assert parse(["--kinds", "camera, camera,figure"]).kinds == ("camera", "camera", "figure")

    def test_lengths_go_from_images_to_clips(self):
        lengths = [frames_of_step(step, 1200) for step in range(1200)]
        assert set(lengths) <= {1, 3, 5, 9} and lengths[0] == 1
        assert lengths[-120:].count(9) > 60 and 9 not in lengths[:300]
        assert {1, 3, 5} <= set(lengths[-120:])  # the shorter ones are not forgotten

    def test_further_training_sees_clips_from_the_start(self):
        lengths = [frames_of_step(step, 120, further=True) for step in range(120)]
        assert lengths.count(9) == 110 and set(lengths[:24]) == {1, 9}

    def test_loss_is_that_of_flow_matching(self, latents):
        clean = latents[1][0][:2].float()
        noise = torch.randn(2, 16, 9, 4, 4, generator=torch.Generator().manual_seed(2))
        sigma = torch.tensor([0.25, 1.0])
        x = noised(clean, noise, sigma)
        torch.testing.assert_close(x[0], 0.75 * clean[0] + 0.25 * noise[0])
        torch.testing.assert_close(x[1], noise[1])
        seen = []

        def perfect(x, timestep, context):
            seen.append(timestep)
            return noise - clean

        assert dit_loss(perfect, x, None, sigma, noise - clean) == 0
        assert seen[0].tolist() == [250, 1000]

    def test_steady_training_learns_the_guided_velocity(self, tmp_path, latents, monkeypatch):
        """Towards a velocity of nothing, a model that predicts something comes to predict less of it."""
        monkeypatch.setattr(torch, "compile", lambda function, **_: function)
        torch.manual_seed(0)
        dit = WanDiT(TINY)
        torch.nn.init.normal_(dit.head.head.weight, std=0.02)
        x, context = torch.randn(1, 16, 9, 4, 4), torch.zeros(1, 1, 4096)
        before = dit(x, torch.tensor([900.0]), context).abs().mean()
        asked = []

        def nothing(x, sigma, context, null):
            asked.append(torch.is_grad_enabled())
            return torch.zeros_like(x)

        train_dit(
            tmp_path / "c", *latents, dit, steps=60, batch=1, lr=3e-3, say=lambda _: None, further=True, guided=nothing
        )
        assert dit(x, torch.tensor([900.0]), context).abs().mean() < 0.7 * before
        assert asked == [False] * 60

    def test_noise_levels_cover_the_range_and_lean_to_noise(self):
        torch.manual_seed(0)
        image, clip = draw_sigma(20000, 1, "cpu"), draw_sigma(20000, 9, "cpu")
        for sigma in (image, clip):
            assert sigma.min() >= 0 and sigma.max() <= 1 and (torch.histc(sigma, 10, 0, 1) > 300).all()
        assert 0.65 < image.median() < 0.8 and 0.8 < clip.median() < 0.93

    def test_noise_levels_of_one_batch_are_spread(self):
        """The mean of a batch varies less than that of levels drawn one by one."""
        torch.manual_seed(0)
        means = torch.stack([draw_sigma(6, 9, "cpu").mean() for _ in range(2000)])
        alone = torch.stack([draw_sigma(1, 9, "cpu") for _ in range(6 * 2000)]).view(2000, 6).mean(1)
        assert means.std() < 0.8 * alone.std() and (means.mean() - alone.mean()).abs() < 0.01


@pytest.mark.parametrize("num_frames", [1, 33])
def test_latents_are_made_once_and_kept(tmp_path, monkeypatch, num_frames):
    monkeypatch.setitem(SHARD, num_frames, 2)
    torch.manual_seed(0)
    vae = WanVAE(4)
    latents, words = make_latents(tmp_path, vae, 4, num_frames, "cpu", say=lambda _: None, batch=2)
    assert latents.shape == (4, 16, (num_frames - 1) // 4 + 1, 16, 16) and latents.dtype == torch.float16
    scenes = [scene for shard in range(2) for scene in SceneStream(f"latents {num_frames} {shard}", 1, 2).scenes(0)]
    assert words.tolist() == [tokenize(scene.caption)[0] for scene in scenes]
    frames = render(scenes[0]).frames[None, :num_frames]
    mean, std = latent_scale("cpu")
    expected = (vae.encode((frames * 2 - 1).movedim(-1, 1)) - mean) / std
    torch.testing.assert_close(latents[:1].float(), expected, atol=0.05, rtol=0.05)  # made in bfloat16

    def never(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(vae, "encode", never)
    again, _ = make_latents(tmp_path, vae, 4, num_frames, "cpu", say=lambda _: None, batch=2)
    assert torch.equal(latents, again)
    second, words_of_it = make_latents(tmp_path, vae, 2, num_frames, "cpu", say=lambda _: None, batch=2, first=2)
    assert torch.equal(second, latents[2:]) and torch.equal(words_of_it, words[2:])


def test_latents_of_some_kinds_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setitem(SHARD, 1, 2)
    torch.manual_seed(0)
    vae, given = WanVAE(4), {"say": lambda _: None, "batch": 2}
    all_kinds, _ = make_latents(tmp_path, vae, 2, 1, "cpu", **given)
    camera, words = make_latents(tmp_path, vae, 2, 1, "cpu", kinds=("camera",), **given)
    assert not torch.equal(camera, all_kinds)
    scenes = SceneStream("latents 1 0-camera", 1, 2, kinds=("camera",)).scenes(0)
    assert words.tolist() == [tokenize(scene.caption)[0] for scene in scenes] and not scenes[0].objects
    assert torch.equal(make_latents(tmp_path, vae, 2, 1, "cpu", **given)[0], all_kinds)
