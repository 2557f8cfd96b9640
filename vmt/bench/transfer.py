"""`python3 -m vmt bench transfer`: methods of motion transfer on cases whose motion is known, beside their controls.

Or on a folder of clips, where it is not, and what can be followed stands in for it.

Every method runs through a real ComfyUI on the same prompts, seeds and starting noise. Results are kept under --out, so
a stopped bench goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import groupby, product
from pathlib import Path
from random import Random

import torch

from ..demo import api_graph
from ..demo.run import WORKFLOW
from ..errors import InputError
from ..launch import host_tree
from ..whole_file import write_json
from .case import Case, Figures
from .case_picture import draw_cases
from .cases import SPLITS, bench_cases
from .clip_models import ClipModels, clip_models, told_absent, why_absent
from .figure_tables import FigureTables
from .filmed import CATEGORY, filmed_cases
from .fingerprint import fingerprint, model_sizes
from .methods import NAMES, load
from .motions import CATEGORIES
from .page import write_page
from .plot import check_picture
from .progress import Progress
from .report import FLOOR, summary, table, within_noise
from .runs import BenchRuns, loading

LOADS_MODEL = "UNETLoader"
POOL = 64  # drawn cases that an unrelated reference is picked among
TRIED = 3  # cases that a method's compute is counted on, until one runs
MADE_BY = "fingerprint"
CONTROLS = [FLOOR, *(name for name in NAMES if load(name).control and name != FLOOR)]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _listed(names: list[str]) -> str:
    return "; ".join(f"{name}: {load(name).about}" for name in names)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m vmt bench transfer",
        description="Measures motion transfer on cases whose motion is known exactly, through a real ComfyUI.",
        epilog=f"Controls, first in every table: {_listed(CONTROLS)}. Methods: "
        f"{_listed([name for name in NAMES if name not in CONTROLS])}.",
    )
    parser.add_argument(
        "--methods",
        type=_names,
        default=[name for name in NAMES if not (load(name).broken or load(name).tunes or load(name).control)],
        metavar="A,B,...",
        help="told below (default: all but the broken ones and those that tune); the controls come on top",
    )
    parser.add_argument(
        "--no-controls", action="store_true", help=f"of the controls only those that --methods names, and {FLOOR}"
    )
    parser.add_argument(
        "--category", type=_names, default=list(CATEGORIES), metavar="C,D,...",
        help=f"of {', '.join(CATEGORIES)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--clips", type=Path, metavar="DIR", help="in the place of drawn cases: videos, and a list of them (see README)"
    )
    parser.add_argument(
        "--workflow", type=Path, default=WORKFLOW, metavar="FILE",
        help="API form of the guided workflow that methods change: for another model (default: the demo's)",
    )  # fmt: skip
    parser.add_argument("--cases", type=int, default=64, metavar="N", help="of each category (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=SPLITS["v1"], help="of the list of cases (default: %(default)s, the split v1)"
    )
    parser.add_argument(
        "--prompts", type=int, default=1, metavar="K", help="cases of each reference, each with another prompt and seed"
    )
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="K", help="videos of each case; 2 or more tell how diverse they are"
    )
    parser.add_argument(
        "--clip-vision", metavar="NAME", help="a CLIP vision model of the host: adds its figures of text and steadiness"
    )
    parser.add_argument("--clip-text", metavar="NAME", help="the text encoder of that CLIP")
    parser.add_argument("--out", type=Path, default=Path("bench-transfer"), help="where results are kept")
    parser.add_argument(
        "--figures", type=Path, metavar="DIR",
        help="tables of every case's figures, such as vmt/bench/results/v1: what is in them is not run, what is run is "
        "added",
    )  # fmt: skip
    parser.add_argument(
        "--judge-again", action="store_true", help="make the figures of kept videos anew: a metric has changed"
    )
    parser.add_argument(
        "--no-compute", action="store_true",
        help="count no forwards, backwards and flops that are not kept: of a method that tunes it takes as long as "
        "some cases do; bench cost --tuning tells them at once",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: transfer.json under --out")
    parser.add_argument("--html", type=Path, metavar="DIR", help="also a page with pictures of every case")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="also every case as a dot, .png or .svg; needs matplotlib"
    )
    parser.add_argument("--half", action="store_true", help="the host's models in bfloat16: faster on recent CPUs")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = parse(argv)
    if options.html and options.figures:
        raise InputError("--html shows videos, and --figures holds none. Give one of them.")
    check_picture(options.picture)
    for name in options.methods:
        load(name)
    if not options.category:
        raise InputError(f"No category was given; {', '.join(CATEGORIES)} are allowed. Name one or more.")
    if options.json and not options.json.parent.is_dir():
        raise InputError(f"The folder of {options.json} does not exist. Make it, or give another --json.")
    methods = _methods(options)
    workflow = api_graph.load(options.workflow)
    cases = _cases(options, workflow)
    model = workflow[api_graph.only(workflow, LOADS_MODEL)]["inputs"]["unet_name"]
    if options.seeds < 1:
        raise InputError(f"{options.seeds} videos of each case were asked for; 1 or more are needed. Change --seeds.")
    clip = clip_models(options.clip_vision, options.clip_text)
    settings = _settings(options, workflow, clip)
    _claim(options.out, settings)
    known = FigureTables(options.figures) if options.figures else None
    if known:
        _claim(known.folder, settings)
    scores, skipped, compute = _run(options, workflow, methods, cases, clip, known)
    groups = {case.name: case.clip_name for listed in cases.values() for case in listed}
    figures = summary({m: {k: v for c in cases for k, v in scores[c][m].items()} for m in methods}, groups)
    split = None if options.clips else next((name for name, seed in SPLITS.items() if seed == options.seed), None)
    absent = why_absent(options.clip_vision, options.clip_text)
    if options.seeds == 1:
        absent["diversity"] = "a single video of each case is made; --seeds 2 or more make several"
    report = {
        "split": split,
        "seed": options.seed,
        "cases": max(map(len, cases.values())),
        "model": model,
        "host": _host(options),
        "half": options.half,
        "absent": absent,
        "methods": {name: {**figures[name], **_mean([compute[c][name] for c in cases])} for name in figures},
        "categories": {c: {"methods": _counted(summary(scores[c], groups), compute[c]), "skipped": skipped[c]}
                       for c in cases},
    }  # fmt: skip
    write_json(options.json or options.out / "transfer.json", report)
    if options.html:
        runs = BenchRuns(options.out, options.half, workflow=workflow)  # reads what is kept
        print(f"page: {write_page(options.html, report, cases, scores, runs.frames, _say)}", file=sys.stderr)
    if options.picture:
        draw_cases(scores, options.picture)
    tables = {f"{c}, {len(cases[c])} cases": report["categories"][c]["methods"] for c in cases}
    tables["all"] = report["methods"]
    shown = ("\n\n".join(filter(None, (name, table(held), within_noise(held)))) for name, held in tables.items())
    print("\n\n".join(shown))
    for line in told_absent(absent):
        print(f"\n{line}")
    for category, methods in skipped.items():
        for name, reasons in methods.items():
            for case, reason in reasons.items():
                print(f"\nLeft out: {name} on {case} ({category}): {reason}")
    return 0


def _methods(options: argparse.Namespace) -> list[str]:
    """The controls, as far as they can run on the cases, and then what was asked for; each once."""
    controls = [name for name in CONTROLS if not (options.clips and load(name).perfect)]
    return list(dict.fromkeys([*([FLOOR] if options.no_controls else controls), *options.methods]))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _host(options: argparse.Namespace) -> dict[str, str]:
    """What figures depend on but little: the versions, and what the host's models compute in."""
    backends = (torch.cuda, torch.backends.mps, getattr(torch, "xpu", None))
    plain = "as the host chooses" if any(b and b.is_available() for b in backends) else "float32"
    return {
        "comfyui": host_tree.version(host_tree.current()),
        "torch": torch.__version__,
        "dtype": "bfloat16" if options.half else plain,
    }


def _settings(options: argparse.Namespace, workflow: dict, clip: ClipModels | None) -> dict:
    """What results depend on beside the case and the method."""
    settings = {"seed": options.seed, "half": options.half}
    if options.clips or options.workflow != WORKFLOW:
        settings |= {"clips": options.clips and str(options.clips.resolve()), "workflow": workflow}
    if options.workflow == WORKFLOW:
        settings[MADE_BY] = fingerprint(workflow)
    elif sizes := model_sizes(workflow):
        settings["models"] = sizes
    settings |= {name: value for name in ("seeds", "prompts") if (value := getattr(options, name)) > 1}
    return {**settings, "clip": vars(clip)} if clip else settings


def _claim(folder: Path, settings: dict) -> None:
    """Notes what the folder's results are of. Raises InputError if it holds those of other settings."""
    note = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not note.exists():
        write_json(note, settings, None)
    try:
        held = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{note} cannot be read ({error}). Delete it, or give another --out.") from error
    if MADE_BY in settings and held == {name: value for name, value in settings.items() if name != MADE_BY}:
        raise InputError(
            f"{note} does not say by which workflow and weights the results beside it were made. Give another folder; "
            f'or, if they were made by those that are here now, add "{MADE_BY}": "{settings[MADE_BY]}" to it.'
        )
    if held != settings:
        raise InputError(f"{folder} holds results of {held}, now {settings} were asked for. Give another --out.")


def _cases(options: argparse.Namespace, workflow: dict) -> dict[str, list[Case]]:
    if options.clips:
        return {CATEGORY: filmed_cases(options.clips, loading(workflow))[: max(1, options.cases)]}
    return {
        category: bench_cases(category, options.cases, options.seed, options.prompts) for category in options.category
    }


def _run(options: argparse.Namespace, workflow: dict, methods: list[str], cases: dict[str, list[Case]], clip, known):
    """category -> method -> case name -> figures, the same of reasons why there are none, and category -> method ->
    compute."""
    scores: dict[str, dict[str, dict[str, Figures]]] = {c: {m: {} for m in methods} for c in cases}
    skipped: dict[str, dict[str, dict[str, str]]] = {c: {} for c in cases}
    others = {category: _others(options, category, listed) for category, listed in cases.items()}
    compute: dict[str, dict[str, dict]] = {c: {} for c in cases}
    counted_on = 0 if options.no_compute else TRIED
    with BenchRuns(
        options.out, options.half, workflow=workflow, seeds=options.seeds, clip=clip, tables=known,
        judge_again=options.judge_again,
    ) as runs:  # fmt: skip
        everything = list(product(methods, (case for listed in cases.values() for case in listed)))
        waiting = {(name, case.name) for name, case in everything if not (case.fault or runs.kept(name, case))}
        progress = Progress(len(everything), len(waiting))
        for category, listed in cases.items():
            if counted_on:
                _say(f"{category}: counting what a run of each method computes")
            for name in methods:
                sound = [pair for pair in zip(listed, others[category], strict=True) if not pair[0].fault]
                compute[category][name] = runs.compute(name, category, sound[:counted_on])
            # All prompts of a reference by one method before the next: the host keeps what it made of the reference.
            for _, group in groupby(enumerate(listed), lambda numbered: numbered[1].clip_name):
                group = list(group)
                for number, case in group:
                    if any((name, case.name) in waiting for name in methods):
                        runs.make_unguided(case, others[category][number])
                for name, (number, case) in product(methods, group):
                    started = time.monotonic()
                    result = runs.result(name, case, others[category][number])
                    progress.add(time.monotonic() - started if (name, case.name) in waiting else None)
                    if result.figures is None:
                        skipped[category].setdefault(name, {})[case.name] = result.skipped
                    else:
                        scores[category][name][case.name] = result.figures
                _say(f"{case.clip_name} ({case.about})  {progress}")
    return scores, skipped, compute


def _others(options: argparse.Namespace, category: str, cases: list[Case]) -> list[Case]:
    """For each case one of another motion, or the case itself if there is none.

    Of drawn cases it is picked at random, since neighbours in the list go the same way, and does not depend on how many
    were asked for; of clips it is the next that can be run.
    """
    if options.clips:
        following = ([*cases[number + 1 :], *cases[:number]] for number in range(len(cases)))
        orders = ([other for other in order if not other.fault] for order in following)
    else:
        pool = bench_cases(category, POOL, options.seed)
        orders = (Random(f"unrelated {case.name} {options.seed}").sample(pool, POOL) for case in cases)
    return [
        next((other for other in order if other.about != case.about), case)
        for case, order in zip(cases, orders, strict=True)
    ]


def _counted(methods: dict[str, dict], compute: dict[str, dict]) -> dict[str, dict]:
    return {name: {**figures, **compute[name]} for name, figures in methods.items()}


def _mean(told: list[dict[str, float]]) -> dict[str, float]:
    """Over categories; empty where one could not be counted."""
    return {key: sum(one[key] for one in told) / len(told) for key in told[0]} if all(told) else {}
