import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_files import TEXT, VISION, write_clip
from moving_clips import moved, pan, with_patch

from vmt.launch.run_result import NodeFailed, PromptInterrupted
from vmt.video import write_video

SIZE = (96, 128)
GROUND = moved(pan(0, 0, 17), size=SIZE)
RIGHT = with_patch(GROUND, (20, 10), (0, 3))
SAME = with_patch(moved(pan(0, 0, 17), seed=3, size=SIZE), (20, 10), (0, 3), seed=5)
LEFT = with_patch(GROUND, (20, 70), (0, -3))


def graph(**clips):
    loads = {
        name: {
            "class_type": "VMT_LoadReferenceVideo",
            "inputs": {"file": f"{name}.mp4", "start": 0.0, "frames": 17, "fps": 0.0, "width": 0, "height": 0}
            | {"fit": "crop"},
        }
        for name in clips
    }
    metrics = {"class_type": "VMT_MotionMetrics", "inputs": {name: [name, 0] for name in clips}}
    return {**loads, "metrics": metrics}


WANT = {"text": ["metrics", 0], "figures": ["metrics", 1], "tracks": ["metrics", 2]}


@pytest.fixture
def measure(executor, host):
    def run(**clips):
        for name, frames in clips.items():
            write_video(Path(host.base) / "input" / f"{name}.mp4", torch.from_numpy(frames).float(), 16.0)
        executor.forget()
        return executor.run(graph(**clips), want=WANT)

    return run


def test_two_files_in_numbers_words_and_a_picture(measure):
    result = measure(reference=RIGHT, output=SAME, unguided=LEFT)
    figures = json.loads(result.got["figures"])
    assert figures["where_reference_moves"] > 0.8 and figures["centred_correlation"] > 0.95
    assert figures["leakage"] is not None
    assert result.got["text"].startswith("Motion: the result follows the reference closely")
    assert result.outputs["metrics"]["text"] == [result.got["text"]]
    assert len(result.files("metrics")) == len(result.got["tracks"]) == 17
    opposite = json.loads(measure(reference=RIGHT, output=LEFT).got["figures"])
    assert opposite["centred_correlation"] < -0.9 and opposite["where_reference_moves"] < 0
    assert "leakage" not in opposite


@pytest.mark.parametrize("node", ["VMT_MotionMetrics", "VMT_CompareMethods"])
def test_without_opencv_they_say_what_to_install(executor, monkeypatch, node):
    monkeypatch.setitem(sys.modules, "cv2", None)  # as where it is not installed
    frames = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 5, "color": 0}}
    inputs = {"output": ["frames", 0]} if node == "VMT_MotionMetrics" else {"output_a": ["frames", 0], "names": ""}
    asks = {"class_type": node, "inputs": {"reference": ["frames", 0], **inputs}}
    executor.forget()
    with pytest.raises(NodeFailed, match="pip install opencv-python-headless"):
        executor.run({"frames": frames, "asks": asks})


def test_clips_that_do_not_fit_are_refused_in_words(measure):
    for output, words in (
        (SAME[:9], "output 9 frames"),
        (np.ascontiguousarray(SAME[:, :, :112]), "output 17 frames of 112x96"),
    ):
        with pytest.raises(NodeFailed, match=words) as refused:
            measure(reference=RIGHT, output=output)
        assert refused.value.exception_type.endswith("InputError")


@pytest.mark.parametrize("node", ["VMT_MotionMetrics", "VMT_CompareMethods"])
def test_progress_is_shown_and_cancelling_ends_it(executor, host, node):
    give = {name: torch.from_numpy(frames).float() for name, frames in (("reference", RIGHT), ("result", SAME))}
    inputs = {"output": ["result", 0]} if node == "VMT_MotionMetrics" else {"output_a": ["result", 0], "names": ""}
    asks = {"class_type": node, "inputs": {"reference": ["reference", 0], **inputs}}
    executor.forget()
    bars = [data for event, data in executor.run({"asks": asks}, give=give).events if event == "progress"]
    assert bars[0]["value"] == 1 and bars[-1]["value"] == bars[-1]["max"]
    seen = []

    def cancel(event, data):
        if event == "progress":
            seen.append(data["value"])
            host.nodes.interrupt_processing()

    executor.forget()
    with pytest.raises(PromptInterrupted):
        executor.run({"asks": asks}, give=give, on_event=cancel)
    assert len(seen) == 1


CLIP_LOADS = {
    "clip_vision": {"class_type": "CLIPVisionLoader", "inputs": {"clip_name": VISION}},
    "clip": {"class_type": "CLIPLoader", "inputs": {"clip_name": TEXT, "type": "stable_diffusion"}},
    "text": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["clip", 0], "text": "a red cross"}},
}


@pytest.fixture(scope="module")
def clip_files(host):
    write_clip(host.base / "models")


@pytest.mark.usefixtures("clip_files")
class TestWithClip:
    @pytest.fixture
    def score(self, executor):
        def run(output, *sockets, **loads):
            inputs = {"reference": ["output", 0], "output": ["output", 0]} | {name: [name, 0] for name in sockets}
            graph = {**CLIP_LOADS, **loads, "metrics": {"class_type": "VMT_MotionMetrics", "inputs": inputs}}
            return executor.run(graph, give={"output": torch.from_numpy(output[:2]).float()}, want=WANT)

        return run

    def test_frames_and_prompt(self, score):
        still, moving = score(GROUND, "clip_vision"), score(RIGHT, "clip_vision", "text")
        figures = json.loads(still.got["figures"])
        assert figures["clip_frame_consistency"] == pytest.approx(1, abs=1e-5)
        assert figures["clip_text_alignment"] is None
        figures = json.loads(moving.got["figures"])
        assert figures["clip_frame_consistency"] < 0.9999 and -1 < figures["clip_text_alignment"] < 1
        assert "neighbouring frames alike" in moving.got["text"] and "prompt shown" in moving.got["text"]
        assert moving.outputs["metrics"]["figures"] == [moving.got["figures"]]  # in the history of a headless run
        other = {"text": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["clip", 0], "text": "a blue star"}}}
        renamed = json.loads(score(RIGHT, "clip_vision", "text", **other).got["figures"])
        assert renamed["clip_text_alignment"] != figures["clip_text_alignment"]

    def test_text_that_does_not_fit(self, score):
        demo = {"clip": {"class_type": "VMT_DemoTextEncoder", "inputs": {}}}
        with pytest.raises(NodeFailed, match="text encoder of the CLIP vision model"):
            score(RIGHT, "clip_vision", "text", **demo)
        with pytest.raises(NodeFailed, match="no clip_vision"):
            score(RIGHT, "text")


class TestCompareMethods:
    @pytest.fixture
    def compare(self, executor):
        def run(names="", **clips):
            give = {name: torch.from_numpy(frames).float() for name, frames in clips.items()}
            inputs = {name: [name, 0] for name in clips} | {"names": names}
            graph = {"compare": {"class_type": "VMT_CompareMethods", "inputs": inputs}}
            return executor.run(
                graph, give=give, want={"table": ["compare", 0], "figures": ["compare", 1], "sheet": ["compare", 2]}
            )

        return run

    def test_two_files(self, executor, host):
        for name, frames in (("reference", RIGHT), ("output", SAME)):
            write_video(Path(host.base) / "input" / f"{name}.mp4", torch.from_numpy(frames).float(), 16.0)
        inputs = {"reference": ["reference", 0], "output_a": ["output", 0], "names": "same way"}
        asks = {"class_type": "VMT_CompareMethods", "inputs": inputs}
        executor.forget()
        result = executor.run({**graph(reference=None, output=None), "compare": asks}, want={"table": ["compare", 0]})
        assert "| same way |" in result.got["table"] and len(result.files("compare")) == 1
        told = [json.loads(result.outputs[node]["figures"][0]) for node in ("metrics", "compare")]
        assert told[1]["results"]["same way"] == told[0], "both nodes see the same files alike"

    def test_results_by_name(self, compare):
        result = compare("right", reference=RIGHT, output_a=SAME, output_c=LEFT, output_d=SAME[:9], unguided=LEFT)
        figures = json.loads(result.got["figures"])
        assert list(figures["results"]) == ["right", "c"] and list(figures["skipped"]) == ["d"]
        right, c = (figures["results"][name]["where_reference_moves"] for name in ("right", "c"))
        assert right > 0.8 and c < 0
        assert result.outputs["compare"]["text"] == [result.got["table"]] and "| right |" in result.got["table"]
        assert len(result.files("compare")) == 1 and result.got["sheet"].shape[0] == 1

    @pytest.mark.parametrize("names", ["one\ntwo", "one\none"])
    def test_names_that_do_not_fit(self, compare, names):
        with pytest.raises(NodeFailed, match=r"2 names .* were given for 1 results"):
            compare(names, reference=RIGHT, output_a=SAME)

    def test_a_name_that_is_the_letter_of_another_result(self, compare):
        with pytest.raises(NodeFailed, match=r"1 names \(b\) were given for 2 results.*without a name \(b\)"):
            compare("b", reference=RIGHT, output_a=SAME, output_b=LEFT)
