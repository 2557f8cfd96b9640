"""Decoupled-LoRA Tuner through the executor."""

import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vmt.launch.run_result import NodeFailed, PromptInterrupted

STEPS = 7  # of all stages, as `tuning` has them


def files(base):
    return sorted(file.name for file in (base / "output" / "loras").glob("*"))


class Steps:
    """Of a run's events: the numbers of steps that the node tells, and where its bar stands. `do` after so many."""

    def __init__(self, after=0, do=None):
        self.told, self.bar, self.after, self.do = [], [], after, do

    def __call__(self, event, data):
        from protocol import BinaryEventTypes

        if event == "progress" and data["max"] == STEPS:
            self.bar.append(data["value"])
        if event == BinaryEventTypes.TEXT and (found := re.search(rb"branch, step (\d+) of", data)):
            self.told.append(int(found[1]))
            if len(self.told) == self.after:
                self.do()


def plain_run(sample, graph, model=("model", 0)):
    return sample(graph.loader(), graph.ksampler(model=model))


class TestTuner:
    def test_files_models_and_losses(self, tune, no_files):
        result = tune()
        assert files(no_files) == ["test_appearance_00001_.safetensors", "test_motion_00001_.safetensors"]
        assert len(result.got["loss_map"]["loss"]) == 7
        [told] = result.outputs["tuned"]["text"]
        assert re.search(r"; 7 steps, held-out loss: appearance \d+\.\d{3}, motion \d+\.\d{3}\. test_app", told)
        for name in ("motion", "appearance"):
            path = no_files / "output" / "loras" / f"test_{name}_00001_.safetensors"
            held = load_file(path)
            assert held.keys() == result.got[name].keys() and len(held) == 4 * 4 * 3
            assert all(torch.equal(held[key], value) for key, value in result.got[name].items())
            assert any((value != 0).any() for key, value in held.items() if key.endswith("up.weight"))
            with safe_open(path, "pt") as file:
                about = file.metadata()
            assert about["branch"] == name and about["rank"] == "4"
            assert about["steps"] == {"appearance": "3", "motion": "4"}[name], "those of its own stage"
            assert "4 blocks" in about["base_model"] and len(about["reference_sha256"]) == 64
        assert not list((no_files / "user" / "vmt_tuning").glob("*.*")), "a finished run needs no checkpoint"

    def test_stock_loaders_give_the_model_that_came_out(self, tune, sample, graph, no_files):
        """Where it learned at all noise levels; what learned above one alone: `test_noisy_lora`."""
        result = tune(filename_prefix="loras/listed", options={"sigma_end": 0.0})
        loaded = {
            "lora": graph.node(
                "LoraLoaderModelOnly", model=["model", 0], lora_name="listed_motion_00001_.safetensors",
                strength_model=1.0,
            ),
            "given": graph.node(
                "LoraModelLoader", model=["model", 0], lora=["motion", 0], strength_model=1.0,
                bypass=False,  # asked for by current ComfyUI, unknown to 0.3.75
            ),
        }  # fmt: skip
        give = {"out": result.got["model"], "motion": result.got["motion"]}
        sampled = {
            model: sample(graph.loader(), loaded, graph.ksampler(model=(model, 0)), give=give)
            for model in ("out", "lora", "given", "model")
        }
        assert torch.equal(sampled["out"], sampled["given"]) and torch.equal(sampled["out"], sampled["lora"])
        assert not torch.equal(sampled["out"], sampled["model"])

    def test_both_strengths(self, tune, sample, graph, no_files):
        sampled = []
        for motion, appearance in ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)):
            result = tune(motion_strength=motion, appearance_strength=appearance)
            sampled.append(sample(graph.loader(), graph.ksampler(model=("out", 0)), give={"out": result.got["model"]}))
        assert all(not torch.equal(a, b) for i, a in enumerate(sampled) for b in sampled[:i])
        assert torch.equal(sampled[-1], plain_run(sample, graph))

    def test_another_strength_or_name_takes_no_step(self, tune, no_files):
        first, steps = tune(), Steps()
        again = tune(on_event=steps, motion_strength=0.5, filename_prefix="loras/again")
        assert steps.told == [] and len(files(no_files)) == 4
        for told in ("motion", "appearance"):
            assert all(torch.equal(again.got[told][key], value) for key, value in first.got[told].items())
        assert again.got["loss_map"] == first.got["loss_map"] and torch.equal(again.got["heads"], first.got["heads"])
        tune(on_event=steps, options={"spatial_on": False})
        assert len(steps.told) == STEPS

    def test_of_runs_those_asked_for_last_are_kept(self, tune, no_files):
        steps = Steps()
        for seed in (51, 52, 51, 53):
            tune(seed=seed)
        tune(seed=51, on_event=steps)
        assert steps.told == []
        tune(seed=52, on_event=steps)
        assert len(steps.told) == STEPS

    def test_the_same_again_is_the_same(self, tune, no_files, anew):
        first = tune()
        anew()
        second = tune(filename_prefix="loras/again")
        assert all(torch.equal(first.got["motion"][k], second.got["motion"][k]) for k in first.got["motion"])
        other = tune(seed=2)
        assert any(not torch.equal(first.got["motion"][k], other.got["motion"][k]) for k in first.got["motion"])

    def test_heads_are_told_apart_once(self, tune, pack, monkeypatch, no_files, long_clip):
        first = tune(seed=11, give={"clip": long_clip}, options={"stride": 1})
        assert len(list((no_files / "user" / "vmt_tuning" / "heads").glob("*.json"))) == 1
        assert first.got["heads"].shape[0] == 1 and first.got["heads"].shape[-1] == 3
        monkeypatch.setattr(
            pack("nodes.host.tuning_pass").TuningPass, "head_roles", lambda *_, **__: pytest.fail("it is known")
        )
        assert torch.equal(tune(seed=12).got["heads"], first.got["heads"])

    def test_heads_of_a_short_clip_are_not_kept(self, tune, no_files):
        """3 latent frames of a 9-frame clip: the next, longer one is measured itself."""
        tune(seed=15, options={"stride": 1})
        assert not list((no_files / "user" / "vmt_tuning" / "heads").glob("*"))

    def test_heads_are_told_apart_where_the_frames_belong(self, tune, pack, monkeypatch, no_files):
        """Whatever rope the tuning has."""
        tuning_pass, told = pack("nodes.host.tuning_pass").TuningPass, []
        measure = tuning_pass.head_roles

        def watched(self, x, sigma, positions, *rest, **more):
            told.append(positions.scale_t)
            return measure(self, x, sigma, positions, *rest, **more)

        monkeypatch.setattr(tuning_pass, "head_roles", watched)
        for rope in ("none", "ends"):
            tune(seed=16, options={"rope": rope})
        assert told == [2.0, 2.0]

    def test_heads(self, tune, no_files):
        """Decoupled, no channel of q is changed by both branches; with all heads every channel is, by each."""

        def rows(result, name):
            ups = [value for key, value in result.got[name].items() if key.endswith("0.self_attn.q.lora_up.weight")]
            return (ups[0] != 0).any(1)

        apart = tune(seed=10)
        motion, look = rows(apart, "motion"), rows(apart, "appearance")
        assert motion.any() and look.any() and not (motion & look).any() and (motion | look).all()
        every = tune(seed=10, options={"heads": "all"})
        assert rows(every, "motion").all() and rows(every, "appearance").all()

    def test_save_lora_and_loss_graph_take_what_comes_out(self, executor, graph, given, clip, tuning, no_files):
        nodes = {
            **graph.loader(), **tuning(),
            "save": graph.node("SaveLoRA", lora=["tuned", 1], prefix="loras/saved"),
            "plot": graph.node("LossGraphNode", loss=["tuned", 3], filename_prefix="loss"),
        }  # fmt: skip
        result = executor.run(nodes, give={**given, "clip": clip})
        assert "saved_00001_.safetensors" in files(no_files) and {"save", "plot"} <= set(result.ran)

    def test_both_files_of_a_run_have_the_same_number(self, tune, no_files):
        tune(options={"spatial_steps": 0})
        tune()
        assert files(no_files) == [f"test_{name}_.safetensors" for name in
                                   ("appearance_00002", "motion_00001", "motion_00002")]  # fmt: skip

    def test_learns_from_the_model_without_key_value_injection(self, executor, graph, given, clip, tuning, no_files):
        inputs = {
            "model": ["model", 0],
            "reference": ["reference", 0],
            "sigma_end": 0.5,
        }  # of another size than the clip
        nodes = {**graph.loader(), "injected": graph.node("VMT_KeyValueInjection", **inputs)}
        plain, injected = (
            executor.run({**nodes, **tuning(link)}, want={"motion": ["tuned", 1]}, give={**given, "clip": clip}).got
            for link in (("model", 0), ("injected", 0))
        )
        assert all(torch.equal(plain["motion"][key], value) for key, value in injected["motion"].items())

    def test_only_trained_branches_are_run(self, tune, pack, monkeypatch, no_files):
        """A branch has four parts in each of four blocks."""
        part, ran = pack("vmt.lora.branches").PartLora, set()
        add_to = part.add_to

        def watched(self, *args):
            ran.add(self)
            return add_to(self, *args)

        monkeypatch.setattr(part, "add_to", watched)
        for steps, parts in (((3, 0, 0), 16), ((0, 2, 2), 16), ((3, 0, 4), 32), ((3, 4, 0), 32)):
            ran.clear()
            tune(seed=14, options=dict(zip(("spatial_steps", "half_steps", "temporal_steps"), steps, strict=True)))
            assert len(ran) == parts

    def test_the_look_may_have_a_rank_of_its_own(self, tune, about, no_files):
        result = tune(seed=17, options={"appearance_rank": 2})
        for name, rank in (("motion", 4), ("appearance", 2)):
            downs = [tensor for key, tensor in result.got[name].items() if key.endswith("lora_down.weight")]
            assert {len(down) for down in downs} == {rank}
            assert about(no_files / "output" / "loras" / f"test_{name}_00001_.safetensors")["rank"] == str(rank)

    def test_files_say_what_they_were_made_of(self, tune, about, pack, clip, no_files):
        folder = no_files / "output" / "loras"
        tune(seed=18, filename_prefix="loras/every", options={"stride": 1})
        tune(seed=18, filename_prefix="loras/second")
        tune(seed=18, filename_prefix="loras/other", give={"clip": clip.flip(0)})
        told = {path.name.rsplit("_", 2)[0]: about(path) for path in folder.glob("*.safetensors")}
        clips = [told[f"{name}_motion"]["reference_sha256"] for name in ("every", "second", "other")]
        assert clips[0] == clips[1] != clips[2], "of the frames, not of those that stay at a stride"
        masks = [told[f"second_{name}"]["head_mask"].split() for name in ("motion", "appearance")]
        assert all(sorted(pair) == ["01", "10"] for pair in zip(*masks, strict=True)) and len(masks[0]) == 4
        motion = told["second_motion"]
        assert motion["version"] == pack("vmt").VERSION
        assert len(motion["base_fingerprint"].split()) == 9

    def test_it_tells_the_time_that_is_left(self, tune, no_files):
        from protocol import BinaryEventTypes

        told = []
        tune(seed=19, on_event=lambda event, data: told.append(data) if event == BinaryEventTypes.TEXT else None)
        steps = [text for text in told if b"branch, step" in text]
        assert re.search(rb"spatial branch, step 2 of 3: loss \d+\.\d{3}, about \d+ min left$", steps[1])
        assert all(re.search(rb", about \d+ min left$", text) for text in steps[1:-1])
        assert b"left" not in steps[0] + steps[-1], "no rate yet; at the end"

    def test_a_picture_of_the_losses_is_sent_while_it_runs(self, tune, no_files):
        sent = []

        def look(event, data):
            if event == "progress" and data["max"] == 12 and data["preview"]:
                sent.append((data["value"], *data["preview"]))

        tune(seed=20, options={"spatial_steps": 0, "half_steps": 4, "temporal_steps": 8}, on_event=look)
        [(step, form, picture, size)] = sent
        assert (step, form, picture.size, size) == (10, "JPEG", (512, 256), 512)
        assert len(picture.getcolors(2**18)) > 2, "a curve and its mean on white"

    def test_progress_reaches_the_end(self, tune, no_files):
        steps = Steps()
        tune(on_event=steps, seed=5)
        assert steps.told == [1, 2, 3, 1, 2, 1, 2], "of the look, then of the motion at half size and at the whole"
        # The bar's messages are thinned out by the time between them on current ComfyUI.
        assert steps.bar == sorted(set(steps.bar)) and steps.bar[-1] == STEPS


class TestLeftAsFound:
    def hooks(self, model):
        return sum(len(module._forward_hooks) for module in model.model.diffusion_model.modules())

    def test_after_tuning(self, tune, sample, graph, model, no_files):
        before = plain_run(sample, graph)
        flags = [p.requires_grad for p in model.model.diffusion_model.parameters()]
        tune(seed=3)
        assert torch.equal(plain_run(sample, graph), before) and self.hooks(model) == 0
        assert [p.requires_grad for p in model.model.diffusion_model.parameters()] == flags
        assert all(p.grad is None for p in model.model.diffusion_model.parameters()), "a second model in memory"

    def test_after_an_interrupt_which_keeps_what_was_learned(self, tune, sample, graph, model, host, no_files, anew):
        before, whole = plain_run(sample, graph), tune(filename_prefix="loras/whole").got["motion"]
        anew()
        for turn in range(2):  # in the midst of either branch
            steps = Steps(2, host.nodes.interrupt_processing)
            with pytest.raises(PromptInterrupted):
                tune(on_event=steps, filename_prefix=f"loras/stopped_{turn}")
            assert torch.equal(plain_run(sample, graph), before) and self.hooks(model) == 0
            assert len(list((no_files / "user" / "vmt_tuning").glob("*.safetensors"))) == 1
            assert not [name for name in files(no_files) if "stopped" in name]
        steps = Steps()
        again = tune(on_event=steps, filename_prefix="loras/again").got["motion"]
        assert len(steps.told) <= STEPS - 4, "it went on where it was"
        assert all(torch.equal(again[key], whole[key]) for key in whole)

    def test_after_an_exception(self, tune, sample, graph, model, monkeypatch, pack, no_files):
        before = plain_run(sample, graph)
        branch, calls = pack("vmt.lora.branches").BranchLora, []
        add_to = branch.add_to

        def fails(self, *args):
            calls.append(1)
            if len(calls) > 100:
                raise RuntimeError("a defect")
            return add_to(self, *args)

        monkeypatch.setattr(branch, "add_to", fails)
        with pytest.raises(NodeFailed, match="a defect"):
            tune(seed=4)
        assert torch.equal(plain_run(sample, graph), before) and self.hooks(model) == 0

    def test_no_copy_of_the_weights(self, tune, model, no_files):
        """What runs while it is tuned is the loader's own module, on the memory that it had."""
        own, ran = model.model.diffusion_model, set()
        before = {p.data_ptr() for p in own.parameters()}
        hook = own.blocks[0].register_forward_hook(lambda block, *_: ran.add(block))
        try:
            tune(seed=6)
        finally:
            hook.remove()
        assert ran == {own.blocks[0]} and {p.data_ptr() for p in own.parameters()} == before

    def test_memory_running_out_is_met_by_keeping_less(self, tune, pack, monkeypatch, no_files, anew):
        whole = tune(seed=7).got["motion"]
        anew()
        tuning_pass, asked = pack("nodes.host.tuning_pass").TuningPass, []
        velocity = tuning_pass.velocity

        def runs_out(self, x, sigma, factor, kept="block"):
            asked.append(kept)
            if kept != "block":
                raise torch.cuda.OutOfMemoryError("there was no room")
            return velocity(self, x, sigma, factor, kept)

        monkeypatch.setattr(tuning_pass, "velocity", runs_out)
        again = tune(seed=7, filename_prefix="loras/less").got["motion"]
        assert asked[:3] == ["none", "selective", "block"] and set(asked[3:]) == {"block"}
        for key in whole:
            torch.testing.assert_close(again[key], whole[key], atol=2e-3, rtol=2e-2)


class TestRunsAreToldApart:
    def with_lora(self, model, seed, strength=1.0):
        import comfy.sd

        generator = torch.Generator().manual_seed(seed)
        base = "diffusion_model.blocks.1.self_attn.q"
        lora = {f"{base}.lora_{part}.weight": torch.randn(256, 256, generator=generator) for part in ("down", "up")}
        return comfy.sd.load_lora_for_models(model, None, lora, strength, 0)[0]

    def test_by_what_a_lora_holds(self, key_of, model):
        keys = [key_of(self.with_lora(model, *lora)) for lora in ((1,), (2,), (1, 0.5))]
        assert len({key_of(model), *keys}) == 4
        assert key_of(self.with_lora(model, 1)) == keys[0]

    def test_not_by_whether_the_model_is_loaded(self, key_of, model):
        import comfy.model_management

        patched = self.with_lora(model, 1)
        key = key_of(patched)
        comfy.model_management.unload_all_models()
        assert key_of(patched) == key

    def test_by_all_that_is_in_its_file_and_by_where_tokens_sit(self, key_of, model, given):
        latent = given["reference"]["samples"]
        changes = ({"reference": latent * 0.9}, {"scale_t": 2.0}, {"frames_sha256": "of other frames"})
        keys = [key_of(model), *(key_of(model, **change) for change in changes)]
        for scale in (0.5, 2.0):
            scaled = model.clone()
            scaled.set_model_rope_options(1.0, 0.0, 1.0, 0.0, scale, 0.0)
            keys.append(key_of(scaled))
            assert key_of(scaled.clone()) == keys[-1]
        assert len(set(keys)) == len(keys)
        assert key_of(model, **{"reference": latent.clone(), "scale_t": 1.0}) == keys[0] == key_of(model.clone())

    def test_by_what_stands_beside_a_caption(self, key_of, model, given):
        [[text, _]] = given["positive"]
        few, many = torch.zeros(1, 8), torch.ones(1, 8)
        beside = ({}, {"strength": 0.5}, {"strength": 0.6}, {"pooled_output": few}, {"pooled_output": many})
        keys = [key_of(model, [[text, more]]) for more in beside]
        assert len(set(keys)) == len(keys)
        assert key_of(model, [[text.clone(), {"pooled_output": many.clone()}]]) == keys[-1]
        one, same = ({"a": 1, "b": {"c": [2.0]}}, {"b": {"c": [2.0]}, "a": 1})
        assert key_of(model, [[text, one]]) == key_of(model, [[text, same]])
        assert key_of(model, [[text, {"a": 1, "b": {"c": [3.0]}}]]) != key_of(model, [[text, one]])

    @pytest.mark.parametrize("layer", ["self_attn.q", "ffn.0"])
    def test_by_what_was_merged_into_the_weights(self, key_of, model, sample, graph, host, layer):
        folder = host.base / "models" / "diffusion_models"
        weights = load_file(folder / "tiny_wan_random.safetensors")
        weights[f"blocks.1.{layer}.weight"] *= 1.01
        save_file(weights, folder / f"merged_{layer}.safetensors")
        merged = sample(graph.loader(f"merged_{layer}.safetensors"), want=("model", 0))
        assert key_of(merged) != key_of(model)


class TestWeightFormats:
    def test_offloaded_weights_with_a_lora_on_them(self, tune, model, monkeypatch, no_files):
        """As where memory is short: each weight is fetched, and the LoRA added to it, when its layer runs."""
        import comfy.model_management
        from comfy.model_patcher import ModelPatcher

        patched, load, seen = TestRunsAreToldApart().with_lora(model, 1), ModelPatcher.load, []

        def offloads(self, device_to=None, lowvram_model_memory=0, force_patch_weights=False, full_load=False, **more):
            return load(self, device_to, 1, force_patch_weights, False, **more)

        layer = patched.model.diffusion_model.blocks[1].self_attn.q
        hook = layer.register_forward_hook(lambda m, *_: seen.append((m.comfy_cast_weights, len(m.weight_function))))
        try:
            whole = tune(seed=22, model=("own", 0), give={"own": patched}).got["motion"]
            usual = set(seen)
            comfy.model_management.unload_all_models()
            monkeypatch.setattr(ModelPatcher, "load", offloads)
            seen.clear()
            changes = {"filename_prefix": "loras/offloaded", "give": {"own": patched}}
            found = tune(seed=22, model=("own", 0), **changes).got["motion"]
        finally:
            hook.remove()
            comfy.model_management.unload_all_models()
        assert set(seen) == {(True, 1)} != usual
        for key in whole:
            torch.testing.assert_close(found[key], whole[key], atol=2e-3, rtol=2e-2)

    def test_fp8_weights(self, executor, graph, given, clip, tuning, tune, no_files):
        """What is learned on weights that are cast for each use is nearly the same, and no weight gets a gradient."""
        exact = tune(seed=13).got["motion"]
        loader = {"model": graph.node("UNETLoader", unet_name="tiny_wan_random.safetensors", weight_dtype="fp8_e4m3fn")}
        found = executor.run(
            {**loader, **tuning(seed=13, filename_prefix="loras/fp8")},
            want={"motion": ["tuned", 1], "model": ["model", 0]}, give={**given, "clip": clip},
        ).got  # fmt: skip
        model = found["model"].model.diffusion_model
        assert model.blocks[0].self_attn.q.weight.dtype == torch.float8_e4m3fn
        assert all(p.grad is None for p in model.parameters())
        ups = [key for key in exact if key.endswith("lora_up.weight")]
        same = torch.cat([(exact[key] * found["motion"][key]).sum()[None].float() for key in ups]).sum()
        sizes = [sum(held[key].float().square().sum() for key in ups).sqrt() for held in (exact, found["motion"])]
        assert same / (sizes[0] * sizes[1]) > 0.8


class TestRefusals:
    def test_a_model_without_wans_blocks(self, tune, no_wan, no_files):
        with pytest.raises(NodeFailed, match=r"LTXV .LTXVModel., not a Wan model"):
            tune(model=("own", 0), give={"own": no_wan})

    @pytest.mark.parametrize("name", ["rank", "appearance_rank"])
    def test_a_rank_that_cannot_be_is_refused_before_anything_is_computed(
        self, tune, pack, monkeypatch, no_files, name
    ):
        node = pack("nodes.decoupled_lora_tuner")
        monkeypatch.setattr(node, "encode_clips", lambda *_: pytest.fail("the clip was encoded"))
        with pytest.raises(NodeFailed, match="Rank 200 was asked for; 1 to 128 are allowed"):
            tune(options={name: 200})

    @pytest.mark.parametrize(
        "changes, said",
        [
            ({"options": {"stride": 5}}, "Frame stride 5 leaves fewer than 5 of 9 frames; 1 to 2 are"),
            ({"options": {"rank": 200}}, "Rank 200 was asked for; 1 to 128 are allowed"),
            (
                {"options": {"spatial_steps": 0, "half_steps": 0, "temporal_steps": 0}},
                "0 spatial, 0 half-size and 0 temporal",
            ),
            ({"filename_prefix": "../outside"}, "outside the output folder"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_settings(self, tune, no_files, changes, said):
        with pytest.raises(NodeFailed, match=said):
            tune(**changes)
        assert files(no_files) == []

    @pytest.mark.parametrize(
        "frames, said",
        [
            (torch.zeros(1, 64, 64, 3), "1 frames; tuning needs 4n"),
            (torch.zeros(8, 64, 64, 3), "8 frames; tuning needs 4n"),
            (torch.full((9, 64, 64, 3), float("nan")), "hold NaN"),
        ],
        ids=["one frame", "not 4n+1", "NaN"],
    )
    def test_clips(self, executor, graph, given, tuning, no_files, frames, said):
        with pytest.raises(NodeFailed, match=said):
            executor.run({**graph.loader(), **tuning()}, give={**given, "clip": frames})

    def test_a_frame_that_has_no_half(self, executor, graph, given, tuning, no_files):
        small = {**given, "clip": torch.rand(9, 32, 48, 3, generator=torch.Generator().manual_seed(0))}
        with pytest.raises(
            NodeFailed, match=r"2 by 3 tokens of 16 pixels; .* 3 by 3 are needed.* or set half_steps to 0"
        ):
            executor.run({**graph.loader(), **tuning()}, give=small)
        assert files(no_files) == []
        executor.run({**graph.loader(), **tuning(options={"half_steps": 0})}, give=small)
        assert len(files(no_files)) == 2

    def test_a_frame_that_has_no_half_of_larger_tokens(self, pack, model):
        wan = replace(pack("nodes.host.model_check").check_wan(model), pixels=16)
        with pytest.raises(pack("vmt.errors").InputError, match=r"2 by 3 tokens of 32 pixels; .* 3 by 3"):
            pack("nodes.host.tuning").check_half(pack("vmt.token_grid").TokenGrid(3, 2, 3), wan)

    def test_memory_that_never_suffices(self, tune, pack, monkeypatch, no_files):
        def runs_out(*args, **kwargs):
            raise torch.cuda.OutOfMemoryError("there was no room")

        monkeypatch.setattr(pack("nodes.host.tuning_pass").TuningPass, "velocity", runs_out)
        with pytest.raises(NodeFailed, match=r"the gradient of tuning\. Use a smaller or shorter clip\. there was"):
            tune(seed=10)
        assert files(no_files) == []

    @pytest.mark.parametrize("kind", ["vace", "i2v"])
    def test_models_that_need_more_than_a_caption(self, tune, other_wan, no_files, kind):
        with pytest.raises(NodeFailed, match=r"text-to-video models of Wan 2.1 and 2.2 are allowed"):
            tune(name=other_wan(kind))

    def test_weights_that_are_quantised_anywhere(self, model, pack):
        from comfy.quant_ops import QuantizedTensor

        layer = model.model.diffusion_model.blocks[2].ffn[0]
        plain = layer.weight
        packed = QuantizedTensor.from_float(plain.detach(), "TensorCoreFP8Layout")
        layer.weight = torch.nn.Parameter(packed, requires_grad=False)
        try:
            with pytest.raises(ValueError, match=r"with quantised weights .* Load such a file"):
                pack("nodes.host.tuning").check_tunable(model, pack("nodes.host.model_check").check_wan(model))
        finally:
            layer.weight = plain

    def test_a_loss_that_is_nan(self, tune, pack, monkeypatch, no_files):
        tuning_pass, asked = pack("nodes.host.tuning_pass").TuningPass, []
        velocity = tuning_pass.velocity

        def breaks(self, *args):
            asked.append(1)
            return velocity(self, *args) * (float("nan") if len(asked) > 2 else 1)

        monkeypatch.setattr(tuning_pass, "velocity", breaks)
        with pytest.raises(NodeFailed, match="loss of step 3 is nan or its gradient is not finite"):
            tune(seed=9)
        assert files(no_files) == [] and list((no_files / "user" / "vmt_tuning").glob("*.safetensors"))

    def test_a_folder_that_cannot_be_written(self, tune, no_files, monkeypatch):
        write_bytes = Path.write_bytes

        def fails(self, data):
            if self.parent.name == "loras":
                raise OSError(28, "No space left on device")
            return write_bytes(self, data)

        monkeypatch.setattr(Path, "write_bytes", fails)
        told = []
        with pytest.raises(NodeFailed, match=r"cannot be written .No space left on device."):
            tune(seed=8)
        assert files(no_files) == []
        monkeypatch.undo()
        tune(seed=8, on_event=lambda event, data: told.append(data["max"]) if event == "progress" else None)
        assert len(files(no_files)) == 2 and STEPS not in told, "what was learned was kept"

    def test_a_folder_that_cannot_be_made(self, tune, no_files):
        (no_files / "output" / "taken").write_text("a file, where a folder should be")
        with pytest.raises(
            NodeFailed, match=r"'taken/a', whose folder cannot be made or read .* Choose another"
        ) as told:
            tune(filename_prefix="taken/a")
        assert told.value.exception_type.endswith("InputError")

    @pytest.mark.parametrize("others", [0, 5])
    def test_checkpoints_that_cannot_be_removed_stop_nothing(self, tune, no_files, monkeypatch, others):
        folder, unlink = no_files / "user" / "vmt_tuning", Path.unlink
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(others):
            (folder / f"{number}.safetensors").write_text("of a run that was stopped")

        def fails(self, missing_ok=False):
            if self.parent == folder:
                raise PermissionError(13, "Permission denied")
            unlink(self, missing_ok)

        monkeypatch.setattr(Path, "unlink", fails)
        tune(seed=30 + others)
        assert len(files(no_files)) == 2
        assert len(list(folder.glob("*.safetensors"))) == others + 1

    def test_what_killed_writes_have_left_is_removed(self, tune, no_files):
        kept = "user/vmt_tuning"
        places = (f"{kept}/dead.partial", f"{kept}/heads/dead.partial", "output/loras/test_motion_00001_.partial")
        for place in places:
            (no_files / place).parent.mkdir(parents=True, exist_ok=True)
            (no_files / place).write_text("half")
            os.utime(no_files / place, (time.time() - 9999,) * 2)
        tune(seed=40)
        assert not [place for place in places if (no_files / place).exists()]

    def test_a_caption_for_a_part_of_the_run(self, executor, graph, given, clip, tuning, no_files):
        part = [[given["positive"][0][0], {"start_percent": 0.2, "end_percent": 1.0}]]
        with pytest.raises(NodeFailed, match="The caption is limited to 20% to 100% of sampling"):
            executor.run({**graph.loader(), **tuning()}, give={**given, "clip": clip, "positive": part})

    def test_a_caption_for_a_part_of_the_frame(self, executor, graph, given, clip, tuning, no_files):
        part = [[given["positive"][0][0], {"mask": torch.ones(1, 64, 64), "set_area_to_bounds": False}]]
        with pytest.raises(NodeFailed, match=r"The caption is limited to a part of the frame by .* \(Set Mask\)"):
            executor.run({**graph.loader(), **tuning()}, give={**given, "clip": clip, "positive": part})

    def test_a_stage_of_no_steps_makes_no_file(self, tune, no_files):
        result = tune(options={"spatial_steps": 0}, appearance_strength=1.0)
        assert files(no_files) == ["test_motion_00001_.safetensors"] and result.got["appearance"] == {}
