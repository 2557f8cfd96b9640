"""The demo workflow on transfer cases, through a real ComfyUI: one row of a table is one way to change its graph."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..launch import base_folder, host_tree
from ..launch.host_process import needs_cpu_flag
from ..launch.server import Server
from ..synthetic import render
from ..video import read_video, write_video
from ..whole_file import write_json
from . import api_graph, demo_graph
from .precision import host_arguments
from .run import WORKFLOW
from .transfer_cases import TransferCase, score_transfer
from .tuned_graph import tuned

NOISED_START = 0.72  # denoise of the noised start: noise level .93 at shift 5

Row = Callable[[demo_graph.DemoGraph], dict]


def noised_start(demo: demo_graph.DemoGraph) -> dict:
    """The plain graph, started from the encoded reference under noise instead of from noise alone."""
    return _from_noised_reference(demo, demo.plain())


def guided_noised_start(demo: demo_graph.DemoGraph) -> dict:
    """The guided graph, started likewise."""
    return _from_noised_reference(demo, demo.guided())


def _from_noised_reference(demo: demo_graph.DemoGraph, graph: dict) -> dict:
    reference = graph[api_graph.only(graph, "VMT_WindowedInversion")]["inputs"]["reference"]
    graph = api_graph.with_input(graph, demo.sampler, "latent_image", reference)
    return api_graph.with_input(graph, demo.sampler, "denoise", NOISED_START)


ROWS: dict[str, Row] = {
    "unguided": demo_graph.DemoGraph.plain,
    "noised_start": noised_start,
    "guided": demo_graph.DemoGraph.guided,
    "tuned": tuned(),
}
TUNES = ("tuned",)  # rows that take minutes a case: run only where they are named


def changed(graph: dict, settings: list[str]) -> dict:
    """The graph with inputs set in every node of the named class.

    Args:
        settings: "NODE_CLASS.input=value"; a value is JSON, or text where it is not. A sampler without Motion Guidance
            Options gets them with their first setting.
    Raises:
        InputError: a setting of another form, or one that the graph has no input for.
    """
    for setting in settings:
        place, is_set, value = setting.partition("=")
        node_class, _, name = place.rpartition(".")
        if node_class == api_graph.OPTIONS:
            graph = api_graph.with_options(graph)
        found = [node_id for node_id in api_graph.find(graph, node_class) if name in graph[node_id]["inputs"]]
        if not (is_set and found):
            known = sorted({node["class_type"] for node in graph.values()})
            raise InputError(
                f"{setting!r} sets no input of the workflow, whose nodes are {', '.join(known)}. "
                "Write NODE.input=value."
            )
        for node_id in found:
            graph = api_graph.with_input(graph, node_id, name, _like(graph[node_id]["inputs"][name], value))
    return graph


def _like(present, text: str):
    """The text as a value of the present one's kind."""
    if isinstance(present, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise InputError(f"{text!r} was given for an input that holds {present!r}. Give a value like it.") from None


class TransferRuns:
    """A running ComfyUI and the demo workflow; scores cases, and keeps every score in a file of its own.

    with TransferRuns(folder) as runs:
        scores = runs.scores(case, 0, "guided")

    Args:
        folder: scores that lie in it are not made again, so a stopped evaluation goes on where it was.
        half: the host's models in bfloat16, which a recent CPU runs several times faster.
        server: one that runs already; None starts one when the first run needs it.
        workflow: API form, of the demo workflow's form.
    """

    def __init__(
        self, folder: Path, half: bool = False, server: Server | None = None, workflow: Path = WORKFLOW
    ):  # fmt: skip
        self.folder, self._half, self._server, self._started = Path(folder), half, server, ExitStack()
        self._workflow = workflow

    def __enter__(self) -> TransferRuns:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception) -> None:
        self._started.__exit__(*exception)

    def scores(
        self, case: TransferCase, number: int, name: str, row: Row | None = None, settings: list[str] = ()
    ) -> dict:
        """`score_transfer` and "seconds" of one case.

        Args:
            number: of the case; with `name` it makes the file's name.
            row: gives the graph to run, `ROWS[name]` if None. settings: as in `changed`, made before.
        """
        kept = self.folder / name / f"case-{number:03d}.json"
        if kept.exists():
            return json.loads(kept.read_text(encoding="utf-8"))
        demo = demo_graph.read(changed(api_graph.load(self._workflow), settings))
        scores = self._run(case, number, demo, row or ROWS[name])
        write_json(kept, scores)
        return scores

    def _run(self, case: TransferCase, number: int, demo: demo_graph.DemoGraph, row: Row) -> dict:
        if self._server is None:
            arguments = host_arguments(needs_cpu_flag(Path(sys.executable)), self._half)
            server = Server(Path(sys.executable), host_tree.current(), base_folder.prepare(), arguments)
            self._server = self._started.enter_context(server)
        clip = render(case.reference)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"case{number}.mp4")
            write_video(file, clip.frames, 16)
            demo = demo.filled(self._server.upload(file), case.prompt.caption, case.seed)
            demo = replace(demo, caption=case.reference.caption)
            result = self._server.run(row(demo))
            frames, _ = read_video(self._server.save(result.files(demo.save)[0], Path(folder, "result.mp4")))
        return {**score_transfer(clip.tracks_px[0], frames, case.prompt), "seconds": result.seconds}
