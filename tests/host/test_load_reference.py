import importlib.util
import os
import time
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from vmt.launch.run_result import NodeFailed, PromptInterrupted, PromptRefused

_SPEC = importlib.util.spec_from_file_location("vmt_bad_files", Path(__file__).parent / "bad_files.py")
bad_files = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(bad_files)
clips = bad_files.clips

SOCKETS = {"frames": 0, "fps": 1, "frame_count": 2, "report": 3}
WANT = {name: ["load", socket] for name, socket in SOCKETS.items()}


def graph(**inputs):
    return {"load": {"class_type": "VMT_LoadReferenceVideo", "inputs": {**bad_files.GOOD, **inputs}}}


@pytest.fixture
def folder(host):
    return Path(host.base) / "input"


@pytest.mark.parametrize("case", bad_files.BAD_FILES)
def test_bad_input_is_refused_in_words_that_help(executor, folder, case):
    prepare, expected = bad_files.BAD_FILES[case]
    with pytest.raises((NodeFailed, PromptRefused), match=expected) as refused:
        executor.run(graph(**prepare(folder)), want=WANT)
    if isinstance(refused.value, NodeFailed):
        assert refused.value.exception_type.endswith("InputError")


def test_file_to_frames(executor, folder):
    clips.write_numbered(folder / "a.mp4", 60, width=96, height=64)
    result = executor.run(graph(file="a.mp4", start=0.5, frames=20, fps=15.0), want=WANT)
    assert result.got["frames"].shape == (17, 64, 96, 3)
    assert clips.numbers_of(result.got["frames"]) == list(range(15, 15 + 34, 2))
    assert result.got["fps"] == 15.0 and result.got["frame_count"] == 17
    assert "20 frames became 17 (4n+1)" in result.got["report"]


def test_the_frames_that_are_used_are_shown(executor, folder, host):
    clips.write_numbered(folder / "a.mp4", 60)
    executor.forget()
    result = executor.run(graph(file="a.mp4", start=1.0, frames=9), want=WANT)
    (shown,) = result.files("load")
    assert shown["type"] == "temp" and shown["filename"].endswith(".mp4")
    video = host.pack("vmt.video")
    frames, fps = video.read_video(Path(host.base) / "temp" / shown["subfolder"] / shown["filename"])
    assert clips.numbers_of(frames) == list(range(30, 39)) and fps == 30.0
    assert result.outputs["load"]["text"] == [result.got["report"]]
    bars = [data["value"] for event, data in result.events if event == "progress"]
    assert bars[0] == 1 and bars[-1] == 9 and bars == sorted(bars)  # 0.33+ leaves out what comes too fast


def test_file_list_and_upload_button(host):
    (Path(host.base) / "input" / "listed.mkv").write_bytes(b"x")
    (Path(host.base) / "input" / "listed.txt").write_bytes(b"x")
    kind, options = host.nodes.NODE_CLASS_MAPPINGS["VMT_LoadReferenceVideo"].INPUT_TYPES()["required"]["file"]
    assert kind == "COMBO" and options["video_upload"] is True
    assert "listed.mkv" in options["options"] and "listed.txt" not in options["options"]


def test_with_no_file_to_choose_a_connected_video_is_taken(executor, host, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))
    _, options = host.nodes.NODE_CLASS_MAPPINGS["VMT_LoadReferenceVideo"].INPUT_TYPES()["required"]["file"]
    assert options["options"] == [""] and options["video_upload"] is True
    prompt = graph(file=options["options"][0], video=["video", 0])
    prompt["video"] = {"class_type": "CreateVideo", "inputs": {"images": ["images", 0], "fps": 16.0}}
    assert executor.run(prompt, give={"images": torch.rand(9, 32, 48, 3)}, want=WANT).got["frame_count"] == 9
    with pytest.raises(PromptRefused, match="No video is chosen"):
        executor.run(graph(file=""), want=WANT)


def test_a_file_in_a_subfolder_and_in_the_output_folder(executor, folder):
    (folder / "sub").mkdir(exist_ok=True)
    clips.write_numbered(folder / "sub" / "b.mp4", 9)
    assert executor.run(graph(file="sub/b.mp4"), want=WANT).got["frame_count"] == 9
    clips.write_numbered(folder.parent / "output" / "c.mp4", 13)
    assert executor.run(graph(file="c.mp4 [output]"), want=WANT).got["frame_count"] == 13


def test_only_a_changed_file_is_loaded_again(executor, folder):
    path = clips.write_numbered(folder / "changing.mp4", 9)
    # A new graph each time: the host writes what it has found into the one it is given.
    assert executor.run(graph(file="changing.mp4"), want=WANT).got["frame_count"] == 9
    assert "load" not in executor.run(graph(file="changing.mp4"), want=WANT).ran
    clips.write_numbered(path, 13)
    os.utime(path, ns=(time.time_ns(), time.time_ns()))
    assert executor.run(graph(file="changing.mp4"), want=WANT).got["frame_count"] == 13


def stock_video(folder, name="stock.mp4", count=30):
    clips.write_numbered(folder / name, count)
    return {"video": {"class_type": "LoadVideo", "inputs": {"file": name}}}


def test_a_connected_video_takes_the_place_of_the_file(executor, folder):
    prompt = {**graph(file="missing.mp4", video=["video", 0], start=0.5), **stock_video(folder)}
    result = executor.run(prompt, want=WANT)
    assert clips.numbers_of(result.got["frames"]) == list(range(15, 28))
    assert result.got["report"].startswith("stock.mp4: 13 frames")


def test_a_connected_video_made_of_frames_keeps_their_values(executor):
    frames = torch.rand(21, 32, 48, 3, generator=torch.Generator().manual_seed(0))
    prompt = graph(file="", video=["video", 0], fps=8.0)
    prompt["video"] = {"class_type": "CreateVideo", "inputs": {"images": ["images", 0], "fps": 16.0}}
    result = executor.run(prompt, give={"images": frames}, want=WANT)
    assert torch.equal(result.got["frames"], frames[::2][:9]) and result.got["fps"] == 8.0


def test_a_trimmed_video_is_not_read_beyond_its_trim(executor, folder):
    """Hosts from 2026 on give the whole file and the trim beside it; where they do not, this stands in for them."""
    from comfy_api.latest import InputImpl

    class Trimmed(InputImpl.VideoFromFile):
        def get_active_trim_window(self):
            return 0.5, 0.8

    path = clips.write_numbered(folder / "trimmed.mp4", 60)
    give = {"video": Trimmed(str(path))}
    result = executor.run(graph(file="", video=["video", 0], start=0.2), give=give, want=WANT)
    assert clips.numbers_of(result.got["frames"]) == list(range(21, 38))  # 0.7 to 1.3 s: 18 frames, so 17
    with pytest.raises(NodeFailed, match=r"Start is 0\.9 s, but the connected video is trimmed to 0\.8 s"):
        executor.run(graph(file="", video=["video", 0], start=0.9), give=give, want=WANT)


@pytest.mark.parametrize(
    ("socket", "message"),
    [("video", "video receives IMAGE, but takes VIDEO"), ("frames", "frames receives IMAGE, but takes INT")],
)
def test_connections_of_a_wrong_type_are_refused(executor, socket, message):
    prompt = graph(file="", **{socket: ["picture", 0]})
    prompt["picture"] = {
        "class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 9, "color": 0}
    }  # fmt: skip
    with pytest.raises(PromptRefused, match=message):
        executor.run(prompt, want=WANT)


def test_a_connected_number_is_taken(executor, folder):
    clips.write_numbered(folder / "a.mp4", 60)
    prompt = graph(file="a.mp4", frames=["number", 0])
    prompt["number"] = {"class_type": "PrimitiveInt", "inputs": {"value": 13}}
    assert executor.run(prompt, want=WANT).got["frame_count"] == 13


def test_cancelling_ends_the_loading(executor, folder, host):
    clips.write_numbered(folder / "a.mp4", 60)
    executor.forget()
    seen = []

    def cancel(event, data):
        if event == "progress":
            seen.append(data["value"])
            host.nodes.interrupt_processing()

    with pytest.raises(PromptInterrupted):
        executor.run(graph(file="a.mp4"), want=WANT, on_event=cancel)
    assert len(seen) == 1
    assert executor.run(graph(file="a.mp4"), want=WANT).got["frame_count"] == 57


def test_defaults_are_those_of_the_core(host):
    config = host.pack("vmt.video").ReferenceConfig()
    inputs = host.nodes.NODE_CLASS_MAPPINGS["VMT_LoadReferenceVideo"].INPUT_TYPES()["required"]
    for name in ("start", "frames", "fps", "width", "height", "fit"):
        assert inputs[name][1]["default"] == getattr(config, name), name
        assert inputs[name][1]["tooltip"]


def test_the_whole_way_through_the_server(server, tmp_path):
    """Upload, run and preview as the browser does."""
    path = clips.write_numbered(tmp_path / "up.mp4", 30, fps=Fraction(25))
    name = server.upload(path)
    prompt = graph(file=name, frames=9)
    prompt["preview"] = {"class_type": "PreviewAny", "inputs": {"source": ["load", 3]}}
    result = server.run(prompt)
    assert "9 frames" in result.outputs["load"]["text"][0]
    assert result.files("load")[0]["filename"].endswith(".mp4")


def test_help_page_names_every_input_and_output(host):
    page = (Path(__file__).parents[2] / "web/docs/VMT_LoadReferenceVideo.md").read_text(encoding="utf-8")
    node = host.nodes.NODE_CLASS_MAPPINGS["VMT_LoadReferenceVideo"]
    inputs = [name for group in ("required", "optional") for name in node.INPUT_TYPES()[group]]
    assert len(inputs) == 8
    assert all(f"**{name}**" in page for name in [*inputs, *node.RETURN_NAMES])
