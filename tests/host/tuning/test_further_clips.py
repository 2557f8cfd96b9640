"""Further Clip and what Decoupled-LoRA Tuner makes of it, through the executor."""

import pytest
import torch

from vmt.launch.run_result import NodeFailed


@pytest.fixture
def captions(given):
    """Three CONDITIONINGs: of the reference and of two further clips."""
    texts = [given["positive"][0][0] * factor for factor in (1.0, 0.5, -1.0)]
    return {f"caption {number}": [[text, {}]] for number, text in enumerate(texts)}


@pytest.fixture
def clips(clip):
    return {"clip 1": clip.flip(2), "clip 2": 1 - clip}


@pytest.fixture
def tune_on(executor, graph, given, tuning, clip, clips, captions, no_files):
    """tune_on(number, give, **changes) -> Result of a tuning beside so many further clips; give: objects of others."""

    def run(number, give=(), **changes):
        chain, last = {}, {}
        for clip_number in range(1, number + 1):
            chain[f"further {clip_number}"] = graph.node(
                "VMT_FurtherClip", frames=[f"clip {clip_number}", 0], positive=[f"caption {clip_number}", 0], **last
            )
            last = {"further_clips": [f"further {clip_number}", 0]}
        nodes = {**graph.loader(), **chain, **tuning(positive=["caption 0", 0], **last, **changes)}
        return executor.run(
            nodes, want={"motion": ["tuned", 1], "appearance": ["tuned", 2]},
            give={**given, **captions, **clips, "clip": clip, **dict(give)},
        )  # fmt: skip

    return run


@pytest.fixture
def asked(pack, monkeypatch):
    """The text of every pass of a tuning, as the host is asked for it."""
    tuning_pass, seen = pack("nodes.host.tuning_pass"), []
    ask = tuning_pass.comfy.samplers.calc_cond_batch

    def watched(model, conds, x, sigmas, options):
        [[cond]] = conds
        seen.append(cond["model_conds"]["c_crossattn"].cond.clone())
        return ask(model, conds, x, sigmas, options)

    monkeypatch.setattr(tuning_pass.comfy.samplers, "calc_cond_batch", watched)
    return seen


@pytest.mark.parametrize("kind", ["half_steps", "temporal_steps"])
def test_every_clip_is_learned_under_its_own_caption(tune_on, asked, pack, monkeypatch, kind):
    tune, told = pack("vmt.lora.tune"), []
    noisy = tune.noised

    def watched(clean, noise, sigma):
        told.append(clean)
        return noisy(clean, noise, sigma)

    monkeypatch.setattr(tune, "noised", watched)
    steps = {"spatial_steps": 0, "half_steps": 0, "temporal_steps": 0, kind: 24}
    tune_on(2, seed=31, options={**steps, "stride": 2, "phases": 1})
    passes = asked[-len(told) :]
    assert len(told) >= 24
    of_clip = {}
    for clean, text in zip(told, passes, strict=True):
        of_clip.setdefault(clean.numpy().tobytes(), set()).add(text.numpy().tobytes())
    assert len(of_clip) == 3 and all(len(texts) == 1 for texts in of_clip.values())
    assert len(set.union(*of_clip.values())) == 3, "each another text"


def test_the_look_is_of_the_reference_alone(tune_on):
    alone, beside = (tune_on(number, seed=32, options={"temporal_steps": 12}).got for number in (0, 2))
    assert all(torch.equal(alone["appearance"][key], value) for key, value in beside["appearance"].items())
    assert not all(torch.equal(alone["motion"][key], value) for key, value in beside["motion"].items())


def test_no_further_clip_is_as_before(tune_on, tune):
    first, same = tune_on(0, seed=33).got["motion"], tune(seed=33).got["motion"]
    assert all(torch.equal(first[key], value) for key, value in same.items())


def test_runs_with_other_further_clips_are_other_runs(tune_on, clips, captions, pack, monkeypatch):
    tuning, keys = pack("nodes.host.tuning"), []
    run_key = tuning.run_key
    monkeypatch.setattr(tuning, "run_key", lambda *args: keys.append(run_key(*args)) or keys[-1])
    for give in ({}, {"clip 1": clips["clip 1"] * 0.9}, {"caption 1": captions["caption 2"]}, {"filename": 0}):
        tune_on(1, give=give, seed=34, options={"spatial_steps": 0, "half_steps": 1, "temporal_steps": 1})
    assert len(set(keys)) == 3 and keys[3] == keys[0]


def test_the_file_says_how_many_clips_it_is_of(tune_on, no_files, about):
    for number in (0, 2):
        tune_on(number, seed=35, filename_prefix=f"loras/of{number}", options={"spatial_steps": 0})
        told = about(no_files / "output" / "loras" / f"of{number}_motion_00001_.safetensors")
        assert told["clips"] == str(number + 1)


@pytest.mark.parametrize(
    "give, said",
    [
        ({"clip 2": torch.rand(5, 64, 64, 3)}, r"Further clip 2 has 5 frames of 64x64, the reference 9 of 64x64; all"),
        ({"clip 1": torch.rand(9, 64, 32, 3)}, r"Further clip 1 has 9 frames of 32x64, the reference 9 of 64x64; all"),
        ({"clip 1": torch.full((9, 64, 64, 3), float("nan"))}, "or hold NaN; finite frames"),
        ({"caption 2": []}, "The caption of further clip 2 is empty; one prompt at least is needed"),
        ({"caption 1": [[torch.zeros(1, 3, 7), {}]]}, "The caption of further clip 1 has text features of width 7"),
    ],
    ids=["shorter", "narrower", "NaN", "no caption", "another text encoder"],
)
def test_clips_that_do_not_fit_are_told(tune_on, no_files, give, said):
    with pytest.raises(NodeFailed, match=said):
        tune_on(2, give=give)
    assert not list((no_files / "output" / "loras").glob("*"))
