"""The server that `demo` uses, and the in-process executor of the tests, against a real ComfyUI."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
from pathlib import Path

import pytest

from vmt.launch import CLONE, base_folder, host_tree
from vmt.launch.run_result import NodeFailed, PromptInterrupted, PromptRefused, ServerError
from vmt.launch.server import Server


def picture(color=0x336699, name="picture"):
    """A graph of stock nodes: one flat picture, saved."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": name}},
    }


def slow():
    """Sixty blurs after one another: the host looks for an interrupt before each."""
    graph = {"0": {"class_type": "EmptyImage", "inputs": {"width": 1024, "height": 1024, "batch_size": 1, "color": 9}}}
    for i in range(1, 61):
        inputs = {"image": [str(i - 1), 0], "blur_radius": 15, "sigma": 3.0}
        graph[str(i)] = {"class_type": "ImageBlur", "inputs": inputs}
    graph["61"] = {"class_type": "PreviewImage", "inputs": {"images": ["60", 0]}}
    return graph


def test_server_has_this_pack_and_the_host_own_nodes(server):
    ids = server.node_ids()
    assert {"KSampler", "SaveVideo", "UNETLoader"} <= ids
    assert any(name.startswith("VMT_") for name in ids)


def test_run_returns_files_and_tells_progress(server):
    seen = []
    result = server.run(picture(name="told"), on_progress=lambda *what: seen.append(what))
    (file,) = result.files("2")
    assert server.fetch(file).startswith(b"\x89PNG")
    assert [node for node, _, _ in seen] == ["1", "2"]
    assert set(result.node_seconds) == {"1", "2"} and 0 < sum(result.node_seconds.values())
    assert result.seconds > 0


def test_unchanged_nodes_come_from_the_cache(server):
    server.run(picture(color=0x010203))
    result = server.run(picture(color=0x010203, name="other"))
    assert result.cached == {"1"}


def test_uploaded_file_is_found_by_a_loader(server, tmp_path):
    made = server.save(server.run(picture(color=0xFF0000)).files("2")[0], tmp_path / "red ä.png")
    name = server.upload(made)
    graph = picture()
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    assert server.fetch(server.run(graph).files("2")[0]).startswith(b"\x89PNG")


def test_a_file_of_more_than_the_host_takes_by_itself_is_uploaded(server, tmp_path):
    with open(tmp_path / "large.mp4", "wb") as file:
        file.truncate(101 * 2**20)
    assert server.upload(tmp_path / "large.mp4") == "large.mp4"


def test_refused_graph_names_node_and_input(server):
    graph = picture()
    del graph["1"]["inputs"]["width"]
    with pytest.raises(PromptRefused, match=r"EmptyImage \(node 1\): Required input is missing: width") as caught:
        server.run(graph)
    assert set(caught.value.node_errors) == {"1"}


def test_unknown_node_is_named(server):
    graph = picture()
    graph["1"]["class_type"] = "VMT_NoSuchNode"
    with pytest.raises(PromptRefused, match="VMT_NoSuchNode"):
        server.run(graph)


def test_failing_node_is_named_with_its_message(server, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    graph = picture()
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": server.upload(tmp_path / "broken.png")}}
    with pytest.raises(NodeFailed, match=r"LoadImage \(node 1\): cannot identify image file") as caught:
        server.run(graph)
    assert caught.value.node_id == "1" and "LoadImage" in caught.value.node_type
    assert "nodes.py" in caught.value.traceback


def test_interrupt_ends_the_run_and_the_server_goes_on(server):
    with pytest.raises(PromptInterrupted, match="ImageBlur"):
        server.run(slow(), on_progress=lambda node, *_: server.interrupt() if node == "2" else None)
    assert server.run(picture(name="after")).files("2")


def test_run_left_by_an_exception_is_cancelled_on_the_server(server):
    class Left(Exception):
        pass

    def leave(node, *_):
        if node == "3":
            raise Left

    before = set(server.get("/history"))
    with pytest.raises(Left):
        server.run(slow(), on_progress=leave)
    server.run(picture(name="next"))  # queued behind it
    left, following = (entry for prompt_id, entry in server.get("/history").items() if prompt_id not in before)
    assert "execution_interrupted" in [event for event, _ in left["status"]["messages"]]
    assert "execution_success" in [event for event, _ in following["status"]["messages"]]


def test_host_that_cannot_start_shows_its_log(tmp_path):
    base = base_folder.prepare(tmp_path / "base")
    with pytest.raises(ServerError, match=r"(?s)ended with status 2.*unrecognized arguments: --no-such-option"):
        Server(Path(sys.executable), host_tree.current(), base, ["--cpu", "--no-such-option"]).__enter__()


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_server_ends_with_its_client(tmp_path, how):
    """Killed or interrupted: no ComfyUI stays behind."""
    client = textwrap.dedent(f"""
        import signal, sys, time; sys.path.append({str(CLONE)!r})
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell hands it down as ignored
        from pathlib import Path
        from vmt.launch import base_folder, host_tree
        from vmt.launch.server import Server
        base = base_folder.prepare(Path({str(tmp_path / "base")!r}))
        options = ["--cpu", "--disable-all-custom-nodes"]
        with Server(Path(sys.executable), host_tree.current(), base, options) as server:
            print(server.process.port, flush=True)
            time.sleep(600)
    """)
    started = subprocess.Popen([sys.executable, "-c", client], stdout=subprocess.PIPE, text=True)
    port = int(started.stdout.readline())
    socket.create_connection(("127.0.0.1", port), timeout=10).close()
    started.send_signal(how)
    started.wait(60)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except OSError:
            return
        time.sleep(0.1)
    pytest.fail(f"A ComfyUI still listens on port {port}.")


def test_view_of_a_missing_file_is_a_readable_error(server):
    with pytest.raises(ServerError, match=r"nothing\.png"):
        server.fetch({"filename": "nothing.png"})
    with pytest.raises(urllib.error.HTTPError):
        server.request("/no/such/page")


def test_executor_returns_tensors(executor):
    result = executor.run(picture(color=0xFF0000), want={"image": ["1", 0]})
    image = result.got["image"]
    assert image.shape == (1, 8, 16, 3)
    assert image[0, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert image.is_inference()
    assert set(result.ran) == {"1", "2", "get image"}


def test_executor_keeps_and_forgets_the_cache(executor):
    executor.run(picture(color=0x00FF00))
    again = executor.run(picture(color=0x00FF00), want={"image": ["1", 0]})
    assert "1" in again.cached and "1" not in again.ran and "image" in again.got
    executor.forget()
    assert "1" in executor.run(picture(color=0x00FF00)).ran


def test_executor_feeds_objects(executor):
    import torch

    image = torch.rand(1, 4, 4, 3)
    graph = {"2": {"class_type": "ImageInvert", "inputs": {"image": ["mine", 0]}}}
    first = executor.run(graph, give={"mine": image}, want={"out": ["2", 0]})
    assert torch.equal(first.got["out"], 1.0 - image)
    assert "2" in executor.run(graph, give={"mine": image}, want={"out": ["2", 0]}).cached
    assert "2" in executor.run(graph, give={"mine": image.clone()}, want={"out": ["2", 0]}).ran


def test_executor_names_the_failing_node(executor):
    graph = {"2": {"class_type": "ImageInvert", "inputs": {"image": ["mine", 0]}}}
    with pytest.raises(NodeFailed, match=r"ImageInvert \(node 2\): unsupported operand"):
        executor.run(graph, give={"mine": "no tensor"}, want={"out": ["2", 0]})
    with pytest.raises(PromptRefused, match=r"ImageInvert \(node 2\): Required input is missing"):
        executor.run({"2": {"class_type": "ImageInvert", "inputs": {}}}, want={"out": ["2", 0]})


def test_executor_can_be_interrupted(executor, host):
    def stop(event, data):
        if event == "executing" and data.get("node") == "2":
            host.nodes.interrupt_processing()

    with pytest.raises(PromptInterrupted):
        executor.run(slow(), on_event=stop)


def test_pack_modules_are_the_host_copy(host):
    import vmt.errors

    ours = host.pack("vmt.errors")
    assert ours is not vmt.errors
    assert Path(ours.__file__).samefile(vmt.errors.__file__)
