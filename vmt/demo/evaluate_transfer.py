"""`python3 -m vmt.demo.evaluate_transfer`: the demo workflow on held-out cases through a real ComfyUI, beside controls.

Rows: `unguided` (same prompt, seed and steps), `noised_start` (no guidance, but started from the noised reference),
`guided`. Every finished run is kept under --out, so a stopped evaluation goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from ..launch import base_folder, host_tree
from ..launch.host_process import needs_cpu_flag
from ..launch.server import Server
from ..metrics.summary import summarise
from ..synthetic import render
from ..video import read_video, write_video
from . import api_graph, demo_graph
from .run import WORKFLOW
from .transfer_cases import TransferCase, score_transfer, transfer_cases

ROWS = ("unguided", "noised_start", "guided")
TOLD = ("correlation", "wrong_way", "speed_ratio", "colour_right", "shape_right", "seconds")  # median / mean
NOISED_START = 0.72  # denoise of the noised start: noise level .93 at shift 5


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt.demo.evaluate_transfer", description=__doc__)
    parser.add_argument("--cases", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0, help="of the list of cases")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--out", type=Path, default=Path("evaluation-transfer"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NODE.INPUT=VALUE",
        help="change the workflow, e.g. VMT_MotionGuidanceSampler.strength=0.06 VMT_WindowedInversion.blocks=3",
    )  # fmt: skip
    return parser.parse_args(argv)


def changed(graph: dict, settings: list[str]) -> dict:
    """The graph with inputs set, in every node of the named class; values are JSON, or text where they are not."""
    for setting in settings:
        place, value = setting.split("=", 1)
        node_class, name = place.rsplit(".", 1)
        try:
            value = json.loads(value)
        except ValueError:
            pass
        found = api_graph.find(graph, node_class)
        if not found or name not in graph[found[0]]["inputs"]:
            known = sorted({node["class_type"] for node in graph.values()})
            raise SystemExit(f"{place} is no input of the workflow, whose nodes are {', '.join(known)}.")
        for node_id in found:
            graph = api_graph.with_input(graph, node_id, name, str(value) if name == "blocks" else value)
    return graph


def noised_start(demo: demo_graph.DemoGraph) -> dict:
    """The plain graph, started from the encoded reference under noise instead of from noise alone."""
    graph = demo.plain()
    reference = graph[api_graph.only(graph, "VMT_WindowedInversion")]["inputs"]["reference"]
    graph = api_graph.with_input(graph, demo.sampler, "latent_image", reference)
    return api_graph.with_input(graph, demo.sampler, "denoise", NOISED_START)


def run_case(server: Server, demo: demo_graph.DemoGraph, case: TransferCase, number: int, rows: list[str]) -> dict:
    """Scores of the wanted rows of one case."""
    clip = render(case.reference)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"case{number}.mp4")
        write_video(file, clip.frames, 16)
        name = server.upload(file)
        demo = demo.filled(name, case.prompt.caption, case.seed)
        scores = {}
        for row in rows:
            graph = {"unguided": demo.plain, "guided": demo.guided, "noised_start": lambda: noised_start(demo)}[row]()
            result = server.run(graph)
            video = server.save(result.files(demo.save)[0], Path(folder, f"{row}.mp4"))
            frames, _ = read_video(video)
            scores[row] = {**score_transfer(clip.tracks_px[0], frames, case.prompt), "seconds": result.seconds}
    return scores


def _told(key: str, figure: dict) -> str:
    if figure["mean"] is None:
        return f"{key} undefined"
    return f"{key} {figure['median']:.3f} / {figure['mean']:.3f}"


def main(argv: list[str]) -> int:
    options = parse(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    demo = demo_graph.read(changed(api_graph.load(WORKFLOW), options.set))
    python = Path(sys.executable)
    arguments = ["--cpu"] if needs_cpu_flag(python) else []
    started, scores = time.time(), {row: [] for row in options.rows}
    with Server(python, host_tree.current(), base_folder.prepare(), arguments) as server:
        for number, case in enumerate(transfer_cases(options.cases, options.seed)):
            kept = options.out / f"case-{number:03d}.json"
            done = json.loads(kept.read_text()) if kept.exists() else {}
            missing = [row for row in options.rows if row not in done]
            if missing:
                done.update(run_case(server, demo, case, number, missing))
                kept.write_text(json.dumps(done, indent=1) + "\n")
            for row in options.rows:
                scores[row].append(done[row])
            told = "  ".join(f"{row} {done[row]['correlation']:+.2f}" for row in options.rows)
            print(f"{number + 1}/{options.cases}  {told}  {time.time() - started:.0f} s", file=sys.stderr, flush=True)
    summary = {"settings": options.set, "cases": options.cases, "seed": options.seed}
    summary["rows"] = {row: summarise(rows) for row, rows in scores.items()}
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    for row, figures in summary["rows"].items():
        print(f"{row:<14}" + "  ".join(_told(key, figures[key]) for key in TOLD))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
