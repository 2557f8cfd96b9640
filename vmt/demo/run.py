"""`python3 -m vmt demo`: the workflow `demo` run through ComfyUI's HTTP API, with and without motion guidance."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from PIL import Image

from ..contact_sheet import contact_sheet, side_by_side
from ..errors import InputError
from ..launch import CLONE, base_folder
from ..launch.console import LaunchError, say, step
from ..launch.host_process import needs_cpu_flag
from ..launch.run_result import RunResult, ServerError
from ..launch.server import Server
from ..video import read_video
from ..whole_file import write_json
from . import api_graph, demo_graph, vocabulary
from .progress import Progress
from .reference_clip import write_reference
from .report import colour_is_right, path_correlation

WORKFLOW = CLONE / "workflows" / "api" / "demo.api.json"


def main(options: argparse.Namespace, tree: Path) -> int:
    """`options` as from `launch.arguments.demo`; `tree`: the ComfyUI to start. Raises LaunchError."""
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        demo = demo_graph.read(api_graph.load(WORKFLOW))
        _warn_of_unknown_words(options.prompt)
        reference = options.reference or write_reference(options.out / "reference.mp4")
        python = Path(sys.executable)
        with ExitStack() as stack:
            with step("Starting ComfyUI"):
                arguments = ["--cpu"] if needs_cpu_flag(python) else []
                server = stack.enter_context(Server(python, tree, base_folder.prepare(), arguments))
            _require_pack(server, demo.full)
            demo = demo.filled(server.upload(reference), options.prompt, options.seed)
            report = _run(server, demo, options.out)
    except InputError as error:
        raise LaunchError(str(error)) from error
    except OSError as error:
        # The server's own failures are ServerErrors: what is left is our files.
        raise LaunchError(f"Cannot write to {options.out}: {error}. Give another folder with --out.") from error
    _tell(report)
    if options.reference:
        say("The figures are made for drawn clips with one moving thing; for other footage trust the sheet.")
    return 0


def _run(server: Server, demo: demo_graph.DemoGraph, out: Path) -> dict:
    looked = _follow(server, demo.reference_part(), "Reference")
    # Times. All three graphs hold the reference part, so the host keeps its results, and the model stays loaded, from
    # one to the next. What is left for the two that are compared is the same work: sampling, decoding, writing the
    # file. The seconds are between the host's own messages that a run began and that it ended.
    plain = _follow(server, demo.plain(), "Unguided")
    guided = _follow(server, demo.guided(), "Guided")
    files = {
        "video": server.save(_video(guided, demo.save), out / "guided.mp4"),
        "unguided_video": server.save(_video(plain, demo.save), out / "unguided.mp4"),
        "sheet": out / "sheet.png",
        "displacement": out / "displacement.png",
    }
    reference, _ = _decoded(server, _video(looked, demo.loader))
    unguided, _ = read_video(files["unguided_video"])
    video, _ = read_video(files["video"])
    contact_sheet({"reference": reference, "unguided": unguided, "guided": video}).save(files["sheet"])
    _save_pictures(server, looked.files(demo.picture), files["displacement"])
    report = {
        "trajectory_correlation": path_correlation(reference, video),
        "trajectory_correlation_unguided": path_correlation(reference, unguided),
        "colour_right": colour_is_right(demo.prompt, video),
        "seconds_plain": round(plain.seconds, 2),
        "seconds_guided": round(guided.seconds, 2),
        "seconds_reference": round(looked.seconds, 2),
        "prompt": demo.prompt,
        "seed": demo.seed,
        **{name: str(path) for name, path in files.items()},
    }
    write_json(out / "report.json", report, 2)
    return {**report, "report": str(out / "report.json")}


def _follow(server: Server, graph: dict, label: str) -> RunResult:
    progress = Progress(graph, label)
    result = server.run(graph, progress)
    progress.done()
    return result


def _video(result: RunResult, node_id: str) -> dict:
    """The video that a node shows."""
    files = result.files(node_id)
    if not files:
        raise ServerError(f"Node {node_id} of the workflow showed no file. Is it the one that the demo expects?")
    return files[0]


def _decoded(server: Server, file: dict):
    with tempfile.TemporaryDirectory() as folder:
        return read_video(server.save(file, Path(folder, "video.mp4")))


def _save_pictures(server: Server, files: list[dict], target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        parts = [server.save(file, Path(folder, f"{index}.png")) for index, file in enumerate(files)]
        if len(parts) == 1:
            shutil.copyfile(parts[0], target)
        else:
            side_by_side([Image.open(part) for part in parts]).save(target)


def _require_pack(server: Server, graph: dict) -> None:
    missing = {node["class_type"] for node in graph.values()} - server.node_ids()
    if missing:
        raise ServerError(
            f"This ComfyUI has no {', '.join(sorted(missing))}. The end of its log:\n{server.process.log_tail(60)}"
        )


def _warn_of_unknown_words(prompt: str | None) -> None:
    unknown = vocabulary.tokenize(prompt or "")[1]
    if unknown:
        known = "; ".join(f"{group}: {', '.join(words)}" for group, words in vocabulary.KNOWN_WORDS.items())
        say(f"The demo model does not know {', '.join(unknown)}. It knows {known}.")


def _tell(report: dict) -> None:
    def shown(value: float | None) -> str:
        return "not measurable" if value is None else f"{value:+.2f}"

    say("")
    say(f"Prompt           {report['prompt']} (seed {report['seed']})")
    say(f"Path correlation {shown(report['trajectory_correlation'])} with the reference; "
        f"without guidance {shown(report['trajectory_correlation_unguided'])}")  # fmt: skip
    say(f"Time             {report['seconds_guided']} s; without guidance {report['seconds_plain']} s")
    for name in ("video", "unguided_video", "sheet", "displacement", "report"):
        say(f"{name.replace('_', ' ').capitalize():<16} {report[name]}")
