import json
from dataclasses import replace
from pathlib import Path

import pytest

from vmt.bench import command, cost
from vmt.bench.cost import BLOCKS, LARGE, SHAPES, SHIFT
from vmt.bench.cost_rows import guided, plain
from vmt.bench.fake_wan import FakeWan
from vmt.bench.tuning_rows import WHOLE_CLIP, rows, tuned
from vmt.demo.vocabulary import NUM_TOKENS
from vmt.demo.wan_dit import WanShape
from vmt.flow_matching import shifted_sigmas
from vmt.guidance.config import GuidanceConfig
from vmt.guidance.presets import OFF, PRESETS, Preset
from vmt.lora.presets import PRESETS as PRESETS_OF_TUNING
from vmt.lora.presets import TunerConfig
from vmt.signals.attention_flow import AttentionFlowConfig

DEMO = ["cost", "--model", "demo", "--frames", "33", "--size", "128x128", "--steps", "16"]


@pytest.fixture(scope="module")
def small():
    return FakeWan(WanShape(256, 512, 4), (3, 16, 16), 24)


@pytest.mark.parametrize("prompts", [1, 2])
@pytest.mark.parametrize(
    ("config", "gradients", "own"),
    [
        (GuidanceConfig(share_forward=False), 6, 6),  # .88 and above: 3 of 5 steps, 4 inner steps, every second
        (GuidanceConfig(share_forward=True), 6, 2),  # at the first step nothing is predicted yet
        (GuidanceConfig(share_forward=True, sigma_start=0.99, inner_steps=1, recompute_every=1), 2, 0),
        (GuidanceConfig(share_forward=True, inner_steps=1, recompute_every=1, max_steps=2), 2, 0),
        (GuidanceConfig(look_ahead=False, inner_steps=1, recompute_every=1), 3, 0),
        (GuidanceConfig(strength=0.0), 0, 0),
    ],
)
def test_the_passes_of_a_schedule(small, config, gradients, own, prompts):
    levels = [1.0, 0.95, 0.9, 0.6, 0.2]
    found = guided(small, levels, prompts, Preset("", config, OFF), (1,), AttentionFlowConfig(), "none")
    # 1 of 4 blocks is run, and the next one begun, for the reference in both sizes and for each gradient
    assert found.forwards == pytest.approx(5 * prompts + 2 * 0.5 + 0.5 * gradients + own)
    assert found.backwards == pytest.approx(0.25 * gradients)
    assert found.flops > plain(small, 5, prompts).flops


COUNTED = json.loads(Path(__file__).with_name("counted_ratios.json").read_text())


@pytest.mark.parametrize(
    ("model", "allowed"),
    [
        ("wan2.1-1.3b", {"quality": 1.5, "balanced": 1.10, "free": 1.02}),
        ("wan2.1-14b", {"quality": 1.5, "balanced": 1.08, "free": 1.02}),
    ],
)
def test_what_presets_may_add(model, allowed):
    """And what they add is as it was counted: whoever changes that writes it down, in the file and in README."""
    levels = shifted_sigmas(50, SHIFT).tolist()[:-1]
    wan = FakeWan(SHAPES[model], (21, 60, 104))
    for name, preset in PRESETS.items():
        found = guided(wan, levels, 2, preset, BLOCKS[model], LARGE, "selective")
        ratio = found.flops / plain(wan, 50, 2).flops
        assert 1 < ratio <= allowed[name], name
        if name in COUNTED[model]:
            assert ratio == pytest.approx(COUNTED[model][name], rel=1e-3), name


def test_latent_flow_takes_no_pass(small):
    free = guided(small, [1.0, 0.95, 0.9, 0.6, 0.2], 2, PRESETS["free"], (1,), AttentionFlowConfig(), "none")
    looks = small.cut((1,)) + small.cut((1,), half=True)
    assert (free.forwards, free.backwards) == (11, 0)
    assert free.flops == (plain(small, 5, 2) + looks + small.latent_gradient(AttentionFlowConfig()) * 12).flops


def test_the_report(tmp_path, capsys):
    file = tmp_path / "cost.json"
    assert command.main([*DEMO, "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    given = {name: value for name, value in report.items() if name not in ("plain_flops", "rows")}
    assert given == {"model": "demo", "frames": 33, "size": "128x128", "steps": 16, "kept": "selective"}
    rows = report["rows"]
    assert {"plain", *PRESETS, "flowmotion"} == set(rows)
    assert rows["plain"]["flops"] == report["plain_flops"] and rows["plain"]["ratio"] == 1
    assert rows["plain"]["forwards"] == 32 and rows["flowmotion"]["forwards"] == 32 + 3 * 2 * 4
    for row in rows.values():
        assert set(row) == {"flops", "ratio", "forwards", "backwards", "peak_activation_bytes"}
        assert row["ratio"] == row["flops"] / report["plain_flops"]
    told = capsys.readouterr().out
    assert all(f"| {name} |" in told for name in rows)


def test_tuning_counts_every_step(small):
    """A pass and a pass back a step, 4 looks every 25 steps and at the last; whole blocks computed again a pass more.

    Nothing is asked of the first of the 4 blocks' input, so the pass back counts one less.
    """
    config = TunerConfig(spatial_steps=60, half_steps=0, temporal_steps=25, stride=1)
    found = tuned(small.shape, 9, (128, 128), config, "none")
    assert found.forwards == 85 + 4 * 4 and found.backwards == 85 * 3 / 4
    again = tuned(small.shape, 9, (128, 128), config, "block")
    assert again.forwards == 2 * 85 + 4 * 4 and again.peak_bytes < found.peak_bytes


def test_thinned_clips_cost_less_a_step_than_their_share_of_frames():
    """Attention grows with the square: of 81 frames 17 are a fourth in tokens, and less than that in operations."""
    shape, size = WanShape(1536, 8960, 2), (480, 832)
    costs = rows(shape, 81, size, "selective")
    step = TunerConfig(spatial_steps=0, half_steps=0, temporal_steps=400)
    thinned, whole = (tuned(shape, 81, size, config, "selective") for config in (step, WHOLE_CLIP))
    assert thinned.flops < 5 / 21 * whole.flops
    assert costs["tune_whole_clip"].flops == whole.flops
    assert costs["tune_draft"].flops < costs["tune_standard"].flops < costs["tune_thorough"].flops
    assert costs["tune_whole_clip"].flops > 4 * costs["tune_standard"].flops


def test_steps_at_half_size_are_counted_at_half_size(small):
    """Single frames in turn at both sizes, the first at the whole one; looks likewise."""
    config = TunerConfig(spatial_steps=5, half_steps=30, heads="decoupled")
    found = tuned(small.shape, 9, (128, 128), config, "none")
    single, half_single, half = (FakeWan(small.shape, latent) for latent in ((1, 16, 16), (1, 8, 8), (3, 8, 8)))
    look = (1, config.rank)
    singles = [(wan.tuning_step(*look), wan.tuning_look(*look)) for wan in (single, half_single)]
    step, passed = half.tuning_step(*look, "none", look), half.tuning_look(*look, look)
    first, second = ((a.flops * steps + b.flops * 2) for (a, b), steps in zip(singles, (3, 2), strict=True))
    assert found.flops == first + second + 30 * step.flops + 2 * 4 * passed.flops


@pytest.fixture
def small_demo(monkeypatch):
    """In the place of the demo model's sizes; its tapped block is the third."""
    shape = WanShape(256, 512, 3)
    monkeypatch.setattr(cost, "shape_of_file", lambda file: shape)
    return shape


@pytest.mark.usefixtures("small_demo")
def test_tuning_stands_in_the_report(capsys):
    assert command.main([*DEMO, "--tuning"]) == 0
    told = capsys.readouterr().out
    for name in (*PRESETS_OF_TUNING, "whole_clip", "dual_path", "brisk", "every_frame", "own_heads", "no_spatial"):
        assert f"| tune_{name} |" in told


def test_the_demo_has_captions_of_16_tokens(small_demo):
    """Others have 512; of a pass of the demo model that would be an eighth more."""
    options = cost.parse([*DEMO[1:], "--tuning"])
    plainly, counted = cost.count(options)
    short, long = (FakeWan(small_demo, (9, 16, 16), tokens) for tokens in (NUM_TOKENS, 512))
    assert plainly.flops == plain(short, 16, 2).flops < plain(long, 16, 2).flops
    presets = {name: tuned(small_demo, 33, (128, 128), config, options.kept, NUM_TOKENS)
               for name, config in PRESETS_OF_TUNING.items()}  # fmt: skip
    assert {name: counted[f"tune_{name}"].flops for name in presets} == {n: c.flops for n, c in presets.items()}


def test_the_look_that_stands_while_the_motion_is_learned_is_run(small):
    config = TunerConfig(spatial_steps=50, half_steps=0, temporal_steps=50, stride=1)
    on, off = (tuned(small.shape, 9, (128, 128), replace(config, spatial_on=on), "none") for on in (True, False))
    alone = tuned(small.shape, 9, (128, 128), replace(config, spatial_steps=0), "none")
    wan = FakeWan(small.shape, (3, 16, 16))
    without, beside = (wan.tuning_step(1, 16, "none", other) for other in (None, (1, 16)))
    looks = (wan.tuning_look(1, 16, (1, 16)).flops - wan.tuning_look(1, 16).flops) * 4 * 2
    assert on.flops - off.flops == 50 * (beside.flops - without.flops) + looks > 0
    assert alone.flops < off.flops < on.flops


def test_one_prompt_a_step(tmp_path):
    reports = []
    for more in ([], ["--no-cfg"]):
        assert command.main([*DEMO, *more, "--json", str(tmp_path / "cost.json")]) == 0
        reports.append(json.loads((tmp_path / "cost.json").read_text()))
    assert reports[1]["plain_flops"] * 2 == reports[0]["plain_flops"]


@pytest.mark.parametrize("bad", [["--frames", "32"], ["--frames", "1"], ["--steps", "0"]])
def test_lengths_that_no_video_has(bad, capsys):
    assert command.main([*DEMO, *bad]) == 2
    assert "Change the one that is not" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["480", "480x", "480x830", "0x16", "axb"])
def test_sizes_that_no_video_has(bad, capsys):
    with pytest.raises(SystemExit):
        command.main([*DEMO, "--size", bad])
    assert "multiples of 16" in capsys.readouterr().err


def test_seconds_and_memory_stand_beside_the_count(monkeypatch, tmp_path, capsys):
    seconds = {"unguided": (8.0, 1.0), **{name: (12.0, 1.5) for name in PRESETS}}
    monkeypatch.setattr(cost, "ratios", lambda *asked: seconds)
    monkeypatch.setattr(cost, "peaks", lambda *asked: {**dict.fromkeys(seconds, 11), "unguided": 10})
    assert command.main([*DEMO, "--timed", "3", "--json", str(tmp_path / "cost.json")]) == 0
    report = json.loads((tmp_path / "cost.json").read_text())
    rows = report["rows"]
    assert set(report) == {"model", "frames", "size", "steps", "kept", "plain_flops", "rows", "timed_cases"}
    timed = {"seconds", "seconds_ratio", "host_peak_bytes", "host_peak_ratio"}
    assert all(set(rows[name]) == set(rows["flowmotion"]) | timed for name in ("plain", *PRESETS))
    assert rows["plain"]["seconds"] == 8 and rows["quality"]["seconds_ratio"] == 1.5
    assert rows["plain"]["host_peak_ratio"] == 1 and rows["quality"]["host_peak_ratio"] == 1.1
    assert "seconds" not in rows["flowmotion"]
    assert "| 12.0 | 1.50 | 1.10 of plain |" in capsys.readouterr().out


def test_where_the_system_does_not_tell_memory(monkeypatch, capsys):
    seconds = {"unguided": (8.0, 1.0), **{name: (12.0, 1.5) for name in PRESETS}}
    monkeypatch.setattr(cost, "ratios", lambda *asked: seconds)
    monkeypatch.setattr(cost, "peaks", lambda *asked: dict.fromkeys(seconds))
    assert command.main([*DEMO, "--timed", "3"]) == 0
    assert "| 12.0 | 1.50 | – |" in capsys.readouterr().out


@pytest.mark.usefixtures("small_demo")
def test_tunings_stand_below(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cost, "ratios", lambda *asked: {"unguided": (8.0, 1.0)})
    monkeypatch.setattr(cost, "peaks", lambda *asked: dict.fromkeys(["unguided", *PRESETS]))
    monkeypatch.setattr(cost, "tunings", lambda names, half: dict.fromkeys(names, told))
    told = {"seconds": 61.7, "host_peak_bytes": 2_340_000_000}
    assert command.main([*DEMO, "--tuning", "--timed", "1", "--json", str(tmp_path / "cost.json")]) == 0
    assert json.loads((tmp_path / "cost.json").read_text())["tunings"]["stock_lora"] == told
    assert "| stock_lora | 62 | 2.34 |" in capsys.readouterr().out


def test_only_the_model_that_is_here_can_be_timed(capsys):
    assert command.main(["cost", "--model", "wan2.1-14b", "--timed", "1"]) == 2
    assert "bench transfer --workflow" in capsys.readouterr().err


def test_what_is_timed_is_what_is_counted(monkeypatch, tmp_path, capsys):
    """The demo's own size unless told; with another, seconds of one run would stand beside counts of another."""
    assert command.main(["cost", "--model", "demo", "--json", str(tmp_path / "cost.json")]) == 0
    report = json.loads((tmp_path / "cost.json").read_text())
    assert {name: report[name] for name in ("frames", "size", "steps")} == {
        "frames": 33, "size": "128x128", "steps": 16,
    }  # fmt: skip
    for other in (["--frames", "17"], ["--size", "64x128"], ["--steps", "50"], ["--no-cfg"]):
        assert command.main(["cost", "--model", "demo", "--timed", "1", *other]) == 2
        told = capsys.readouterr().err
        assert "33 frames, 128x128, 16 steps with a negative prompt" in told and "Leave --timed" in told
