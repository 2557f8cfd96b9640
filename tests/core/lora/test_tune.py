"""The tuning loop, on a model of one projection."""

import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from vmt.errors import StateError
from vmt.half_size import half_level
from vmt.lora.branches import PARTS, BranchLora
from vmt.lora.files import read
from vmt.lora.losses import sigma_levels
from vmt.lora.positions import Positions
from vmt.lora.tune import Sample, Stage, TuneConfig, hash_of, held_out_loss, level_share, tune

BASE = torch.randn(8, 8, generator=torch.Generator().manual_seed(9)) * 0.3
CLIP = Sample(torch.randn(1, 8, 3, 2, 2, generator=torch.Generator().manual_seed(1)), Positions(2.0))
FRAME = Sample(torch.randn(1, 8, 1, 2, 2, generator=torch.Generator().manual_seed(2)))
CONFIG = TuneConfig(check_every=5, save_every=4, patience=0)


def new_branches():
    heads = torch.tensor([[True, False]])
    return {"spatial": BranchLora(heads, 8, 2, seed=0), "temporal": BranchLora(~heads, 8, 2, seed=1)}


def predict(branches, x, sigma, sample):
    """A model of one projection of the channels, with the updates of all four parts."""
    tokens = x.movedim(1, -1)
    y = tokens @ BASE
    for branch in branches.values():
        for part in PARTS:
            y = branch.add_to(y, tokens, 0, part)
    return y.movedim(-1, 1)


def stages(steps=12):
    return [
        Stage("spatial", (FRAME,), steps, lr=0.02),
        Stage("temporal", (CLIP,), steps, lr=0.02, motion_weight=1.0, strengths={"spatial": 1.0}),
    ]


def weights(branches):
    return {f"{b}.{n}": p.detach().clone() for b, m in branches.items() for n, p in m.named_parameters()}


def changed(before, after):
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


class TestTuning:
    def test_every_stage_trains_its_branch_alone(self):
        branches = new_branches()
        seen = [weights(branches)]
        for stage in stages():
            tune(branches, [stage], partial(predict, branches), CONFIG)
            seen.append(weights(branches))
        assert changed(seen[0], seen[1]) == {"spatial"} and changed(seen[1], seen[2]) == {"temporal"}

    @pytest.mark.parametrize("other", ["spatial", "temporal"])
    def test_each_branch_changes_the_output_while_the_other_is_there(self, other):
        """What the published code does not do: its second adapter switches the first one off."""
        branches = new_branches()
        tune(branches, stages(), partial(predict, branches), CONFIG)
        x = torch.randn(1, 8, 3, 2, 2)
        both = predict(branches, x, 0.5, CLIP)
        branches[other].strength = 0.0
        assert (predict(branches, x, 0.5, CLIP) - both).abs().max() > 1e-4

    @pytest.mark.parametrize("told, strength", [({}, 1.0), ({"spatial": 0.0}, 0.0)])
    def test_the_spatial_branch_is_on_in_the_temporal_stage_unless_it_is_told_off(self, told, strength):
        branches, seen = new_branches(), set()
        branches["spatial"].strength = 0.5  # as it was left

        def watched(*args):
            seen.add((branches["spatial"].strength, branches["temporal"].strength))
            return predict(branches, *args)

        tune(branches, [Stage("temporal", (CLIP,), 2, strengths=told)], watched, CONFIG)
        assert seen == {(strength, 1.0)}

    def test_only_levels_that_were_asked_for_are_drawn(self):
        """Also where what was learned is looked at."""
        seen = []

        def watched(branches, x, sigma, sample):
            seen.append(sigma)
            return predict(branches, x, sigma, sample)

        for end in (0.0, 0.7):
            branches = new_branches()
            tune(branches, [Stage("spatial", (FRAME,), 40, sigma_end=end)], partial(watched, branches), CONFIG)
        assert min(seen[: len(seen) // 2]) < 0.7 <= min(seen[len(seen) // 2 :]) < 0.8

    def test_half_a_clip_is_noised_as_much_as_a_whole_one_at_the_level(self):
        told = {}

        def watched(x, sigma, sample):
            told.setdefault(sample.half, []).append(sigma)
            return predict(branches, x, sigma, sample)

        for sample in (FRAME, replace(FRAME, half=True)):
            branches = new_branches()
            tune(branches, [Stage("spatial", (sample,), 6)], watched, CONFIG)
        assert told[True] == [half_level(sigma) for sigma in told[False]] and max(told[True]) < max(told[False])

    def test_learns(self):
        branches = new_branches()
        stage = Stage("spatial", (FRAME,), 150, lr=0.02)
        before = held_out_loss(stage, partial(predict, branches), CONFIG, 0)
        history = tune(branches, [stage], partial(predict, branches), CONFIG)
        assert held_out_loss(stage, partial(predict, branches), CONFIG, 0) < 0.96 * before
        assert len(history["loss"]) == 150 and len(history["held_out"]) == 30

    def test_the_model_is_told_where_the_frames_sit_and_by_which_caption_to_see_them(self):
        seen = set()

        def watched(x, sigma, sample):
            seen.add((x.shape[2], sample.positions.scale_t, sample.caption))
            return x * sum(parameter.sum() for parameter in branches["spatial"].parameters())

        branches = new_branches()
        tune(branches, [Stage("spatial", (FRAME, replace(CLIP, caption=3)), 20)], watched, CONFIG)
        assert seen == {(1, 1.0, 0), (3, 2.0, 3)}

    def test_stops_when_the_held_out_draws_no_longer_improve_and_keeps_the_best(self):
        branches = new_branches()
        stage = Stage("spatial", (FRAME,), 4000, lr=0.5)
        config = TuneConfig(check_every=5, patience=3)
        history = tune(branches, [stage], partial(predict, branches), config)
        assert len(history["loss"]) < 4000
        least = min(history["held_out"])
        assert history["held_out"][-3:] != [least] * 3
        assert history["best"] == [least] and history["steps"] == [len(history["loss"])]
        assert held_out_loss(stage, partial(predict, branches), config, 0) == pytest.approx(least, rel=1e-5)

    def test_progress(self):
        told = []
        branches = new_branches()
        history = tune(branches, stages(6), partial(predict, branches), CONFIG, report=told.append)
        assert [(p.stage, p.step, p.steps) for p in told] == [(s, i, 6) for s in (0, 1) for i in range(1, 7)]
        shown = {p.stage: [q.held_out for q in told if q.stage == p.stage] for p in told}
        assert all(held[:4] == [None] * 4 and held[-1] < held[4] for held in shown.values())
        assert [held[-1] for held in shown.values()] == history["best"] and history["steps"] == [6, 6]


class TestGoingOn:
    @pytest.mark.parametrize("at", [1, 5, 11, 12, 13, 18, 23])
    def test_a_stopped_run_ends_as_one_that_was_not(self, tmp_path, at):
        whole = new_branches()
        history = tune(whole, stages(), partial(predict, whole), CONFIG)
        stopped, seen = new_branches(), []

        def stop(progress):
            seen.append(progress)
            if len(seen) == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tune(stopped, stages(), partial(predict, stopped), CONFIG, tmp_path / "c", stop)
        again, lengths = new_branches(), []
        resumed = tune(
            again, stages(), partial(predict, again), CONFIG, tmp_path / "c", lambda p: lengths.append(len(p.losses))
        )
        assert resumed == history and not changed(weights(whole), weights(again))
        assert lengths == list(range(at + 1, 25)), "what is shown of the losses begins with the run, not after the stop"

    @pytest.mark.parametrize("call", [3, 6, 8, 9, 11, 20, 29, 40])
    def test_stopped_in_the_midst_of_a_step_or_of_a_look(self, tmp_path, call):
        whole = new_branches()
        history = tune(whole, stages(), partial(predict, whole), CONFIG)
        stopped, calls = new_branches(), []

        def breaks(*args):
            calls.append(1)
            if len(calls) == call:
                raise KeyboardInterrupt
            return predict(stopped, *args)

        with pytest.raises(KeyboardInterrupt):
            tune(stopped, stages(), breaks, CONFIG, tmp_path / "c")
        again = new_branches()
        assert tune(again, stages(), partial(predict, again), CONFIG, tmp_path / "c") == history
        assert not changed(weights(whole), weights(again))

    def test_a_checkpoint_that_cannot_be_written_stops_nothing(self, tmp_path, caplog):
        (tmp_path / "file").write_text("no folder")
        branches = new_branches()
        tune(branches, stages(), partial(predict, branches), CONFIG, tmp_path / "file" / "c")
        assert "cannot be written" in caplog.text

    def test_a_full_disk_stops_nothing_and_hides_no_error(self, tmp_path, caplog, full_disk):
        branches, whole = new_branches(), new_branches()
        with full_disk():
            tune(branches, stages(), partial(predict, branches), CONFIG, tmp_path / "c")
        assert "The checkpoint c cannot be written ([Errno 27] File too large); tuning goes on" in caplog.text
        tune(whole, stages(), partial(predict, whole), CONFIG)
        assert not changed(weights(whole), weights(branches)) and not list(tmp_path.iterdir())

        def stop(progress):
            raise KeyboardInterrupt

        with full_disk(), pytest.raises(KeyboardInterrupt):
            tune(branches, stages(), partial(predict, branches), CONFIG, tmp_path / "c", stop)

    @pytest.mark.parametrize("spoil", ["empty", "garbage", "truncated", "lacks the looks"])
    def test_a_checkpoint_that_cannot_be_read_is_made_anew(self, tmp_path, caplog, spoil):
        first = new_branches()
        history, file = tune(first, stages(), partial(predict, first), CONFIG, tmp_path / "c"), tmp_path / "c"
        whole = file.read_bytes()
        tensors, about = read(file)
        del tensors["looks"]
        spoilt = {
            "empty": b"", "garbage": b"no tensors" * 99, "truncated": whole[: len(whole) // 2],
            "lacks the looks": save(tensors, about),
        }  # fmt: skip
        file.write_bytes(spoilt[spoil])
        again = new_branches()
        assert tune(again, stages(), partial(predict, again), CONFIG, file) == history
        assert not changed(weights(first), weights(again))
        assert "The checkpoint c cannot be read" in caplog.text and "tuning starts anew" in caplog.text
        assert read(file)[1] == about, "whole again"

    def test_a_killed_run_goes_on_from_the_last_checkpoint(self, tmp_path):
        """As if the process had died between two checkpoints: what is on disk is all there is."""
        whole = new_branches()
        tune(whole, stages(), partial(predict, whole), CONFIG)
        dying, kept = new_branches(), []

        def die(progress):
            kept.append((tmp_path / "c").read_bytes() if (tmp_path / "c").exists() else b"")
            if len(kept) == 10:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tune(dying, stages(), partial(predict, dying), CONFIG, tmp_path / "c", die)
        (tmp_path / "c").write_bytes(kept[-1])
        again = new_branches()
        tune(again, stages(), partial(predict, again), CONFIG, tmp_path / "c")
        assert not changed(weights(whole), weights(again))

    def test_another_runs_checkpoint_is_not_used(self, tmp_path):
        first = new_branches()
        tune(first, stages(), partial(predict, first), CONFIG, tmp_path / "c", key="one clip")
        other, fresh = new_branches(), new_branches()
        history = tune(other, stages(), partial(predict, other), CONFIG, tmp_path / "c", key="another")
        assert len(history["loss"]) == 24
        tune(fresh, stages(), partial(predict, fresh), CONFIG)
        assert not changed(weights(other), weights(fresh))

    def test_a_finished_run_is_not_run_again(self, tmp_path):
        first = new_branches()
        history = tune(first, stages(), partial(predict, first), CONFIG, tmp_path / "c")
        again = new_branches()
        asked = []
        assert tune(again, stages(), lambda *a: asked.append(a), CONFIG, tmp_path / "c") == history
        assert not asked and not changed(weights(first), weights(again))


def test_nan_stops_with_what_was_learned(tmp_path):
    branches, steps = new_branches(), []

    def breaks(x, sigma, sample):
        steps.append(1)
        y = predict(branches, x, sigma, sample)
        return y * float("nan") if len(steps) > 3 else y

    with pytest.raises(StateError, match=r"loss of step 4 is nan .* Lower the learning rate"):
        tune(branches, stages(), breaks, CONFIG, tmp_path / "c")
    assert all(torch.isfinite(value).all() for value in weights(branches).values())
    assert (tmp_path / "c").exists()


def test_after_nan_the_same_settings_go_on_from_the_best_weights_past_the_step_that_failed(tmp_path):
    """Step 8, after the look at step 5, is NaN whenever it is made: the run would never get by it."""
    levels, bad = sigma_levels(), int(level_share(CONFIG.seed, 0, 7) * 1000)
    one = [Stage("spatial", (FRAME,), 12, lr=0.02)]

    def run(branches):
        def breaks(x, sigma, sample):
            broken = torch.is_grad_enabled() and sigma == levels[bad].item()
            return predict(branches, x, sigma, sample) * (float("nan") if broken else 1)

        return tune(branches, one, breaks, CONFIG, tmp_path / "c")

    first, whole = new_branches(), new_branches()
    with pytest.raises(StateError, match=r"step 8 is nan .* now 0.02, .* The same settings go on from the best"):
        run(first)
    tune(whole, [replace(one[0], steps=5)], partial(predict, whole), CONFIG)
    assert not changed(weights(first), weights(whole)), "the weights of the look"
    second = new_branches()
    history = run(second)
    assert len(history["loss"]) == 11 and history["steps"] == [12]
    assert all(torch.isfinite(value).all() for value in weights(second).values())
    assert changed(weights(first), weights(second)) == {"spatial"}


def test_nan_before_the_first_look_is_told_to_come_again(tmp_path):
    branches = new_branches()

    def breaks(*args):
        return predict(branches, *args) * float("nan")

    for _ in range(2):
        with pytest.raises(StateError, match=r"loss of step 1 is nan .* The same settings fail here again"):
            tune(branches, stages(), breaks, CONFIG, tmp_path / "c")


def test_stops_where_no_gradient_comes_through(tmp_path):
    """As behind a layer on a kernel without one: the parts in front of it would stay as they are."""
    branches = new_branches()

    def cut(x, sigma, sample):
        tokens = x.movedim(1, -1)
        y = branches["spatial"].add_to(tokens, tokens, 0, "q").detach()
        return branches["spatial"].add_to(y, y, 0, "o").movedim(-1, 1)

    with pytest.raises(StateError, match=r"does not reach 6 of 8 matrices of the LoRA; .* Load the model in fp16"):
        tune(branches, stages(), cut, CONFIG)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stage", range(2))
def test_noise_levels_are_covered_evenly(seed, stage):
    """Any 40 steps in a row, 5 for each eighth: independent draws would leave one with 0 and another with 11."""
    shares = torch.tensor([level_share(seed, stage, step) for step in range(400)])
    for first in range(0, 360, 9):
        counts = torch.histc(shares[first : first + 40], 8, 0.0, 1.0)
        assert 3 <= counts.min() and counts.max() <= 7
    assert shares.mean() == pytest.approx(0.5, abs=0.01)


def test_noise_levels_of_seeds_and_stages_differ():
    starts = [level_share(seed, stage, 0) for seed in range(5) for stage in range(2)]
    assert len({round(start, 3) for start in starts}) == 10


def test_levels_of_a_run_are_those_of_its_steps():
    seen, branches, levels = [], new_branches(), sigma_levels()

    def watched(x, sigma, sample):
        seen.extend([sigma] * torch.is_grad_enabled())
        return predict(branches, x, sigma, sample)

    tune(branches, stages(20), watched, CONFIG)
    expected = [int(level_share(0, stage, step) * 1000) for stage in (0, 1) for step in range(20)]
    assert seen == levels[expected].tolist()


KILLED = """
import sys, os, signal
from pathlib import Path
sys.path[:0] = [{tests!r}, {clone!r}]
from functools import partial
from test_tune import CONFIG, new_branches, predict, stages
from vmt.lora.positions import Positions
from vmt.lora.tune import tune

branches, steps = new_branches(), []


def die(progress):
    steps.append(progress)
    if len(steps) == {at}:
        os.kill(os.getpid(), signal.SIGKILL)


tune(branches, stages(), partial(predict, branches), CONFIG, Path({checkpoint!r}), die)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_a_process_that_is_killed_in_its_second_stage_goes_on_to_the_same_weights(tmp_path):
    whole, again = new_branches(), new_branches()
    history = tune(whole, stages(), partial(predict, whole), CONFIG)
    file, here = tmp_path / "c", Path(__file__)
    script = KILLED.format(tests=str(here.parent), clone=str(here.parents[3]), at=12 + 6, checkpoint=str(file))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    about = read(file)[1]
    assert (about["stage"], about["step"]) == ("1", "4"), "what was saved last"
    assert tune(again, stages(), partial(predict, again), CONFIG, file) == history
    assert not changed(weights(whole), weights(again))


def test_no_two_steps_share_a_lot():
    lots = {hash_of(seed, stage, step) for seed in range(5) for stage in range(2) for step in range(-5, 500)}
    assert len(lots) == 5 * 2 * 505
    assert all(0 <= lot < 2**63 for lot in lots)
