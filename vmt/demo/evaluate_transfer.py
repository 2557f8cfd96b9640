"""`python3 -m vmt evaluate transfer`: the demo workflow on held-out cases through a real ComfyUI, beside controls.

Rows: `unguided` (same prompt, seed and steps), `noised_start` (no guidance, but started from the noised reference),
`guided`; and where it is named `tuned`, which learns a LoRA of each reference, some minutes a case. Every finished run
is kept under --out, so a stopped evaluation goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..metrics.summary import summarise
from ..whole_file import write_json
from .run import WORKFLOW
from .transfer_cases import transfer_cases
from .transfer_runs import ROWS, TUNES, TransferRuns

TOLD = ("correlation", "wrong_way", "speed_ratio", "colour_right", "shape_right", "one_object", "seconds")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt evaluate transfer", description=__doc__)
    parser.add_argument("--cases", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0, help="of the list of cases")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[name for name in ROWS if name not in TUNES])
    parser.add_argument(
        "--workflow", type=Path, default=WORKFLOW, metavar="FILE",
        help="API form of a workflow of the same nodes (default: the demo's)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("evaluation-transfer"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NODE.INPUT=VALUE",
        help="change the workflow, e.g. VMT_MotionGuidanceSampler.strength=0.06 VMT_WindowedInversion.blocks=3",
    )  # fmt: skip
    parser.add_argument("--half", action="store_true", help="the host's models in bfloat16: faster on recent CPUs")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = parse(argv)
    started, scores = time.time(), {row: [] for row in options.rows}
    with TransferRuns(options.out, options.half, workflow=options.workflow) as runs:
        for number, case in enumerate(transfer_cases(options.cases, options.seed)):
            for row in options.rows:
                scores[row].append(runs.scores(case, number, row, settings=options.set))
            told = "  ".join(f"{row} {scores[row][-1]['correlation']:+.2f}" for row in options.rows)
            print(f"{number + 1}/{options.cases}  {told}  {time.time() - started:.0f} s", file=sys.stderr, flush=True)
    summary = {
        "workflow": options.workflow.name,
        "settings": options.set,
        "half": options.half,
        "cases": options.cases,
        "seed": options.seed,
    }
    summary["rows"] = {row: summarise(rows) for row, rows in scores.items()}
    write_json(options.out / "summary.json", summary)
    print(table(summary["rows"], "row"))
    return 0


def table(rows: dict[str, dict], first: str) -> str:
    """Summaries by name as a Markdown table: median / mean of the correlation, the mean of every other figure."""
    lines = [f"| {first} | " + " | ".join(TOLD) + " |", "|---" * (1 + len(TOLD)) + "|"]
    for name, figures in rows.items():
        lines.append(f"| {name} | " + " | ".join(_told(key, figures[key]) for key in TOLD) + " |")
    return "\n".join(lines)


def _told(key: str, figure: dict) -> str:
    if figure["mean"] is None:
        return "undefined"
    return f"{figure['median']:.2f} / {figure['mean']:.2f}" if key == "correlation" else f"{figure['mean']:.2f}"
