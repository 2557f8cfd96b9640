"""`python3 -m vmt evaluate sweep`: which settings of the method carry motion, one changed at a time.

Each setting runs the demo workflow's guided graph on the same held-out cases through a real ComfyUI. The table gives
the paired difference of the correlation from the workflow as it is; within its interval nothing can be said.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..errors import InputError
from ..guidance.presets import PRESETS
from ..metrics.summary import differences, summarise
from ..whole_file import write_json
from .api_graph import OPTIONS
from .demo_graph import DemoGraph
from .evaluate_transfer import table
from .transfer_cases import transfer_cases
from .transfer_runs import TransferRuns, guided_noised_start

AS_IT_IS = "as it is"
CUSTOM = "custom"  # by the settings of the workflow, without latent flow
SIGMA, BLOCKS, ROPE = (f"VMT_WindowedInversion.{name}" for name in ("sigma", "blocks", "rope"))
CENTRE, RADIUS, TEMPERATURE, HEADS, SPAN, WEIGHT = (
    f"VMT_ExtractAMF.{name}" for name in ("centre", "radius", "temperature", "heads", "span", "weight")
)
STRENGTH, START, END, INNER, RECOMPUTE, AHEAD = (
    f"VMT_MotionGuidanceSampler.{name}"
    for name in ("strength", "sigma_start", "sigma_end", "inner_steps", "recompute_every", "look_ahead")
)
SAMPLER = "VMT_MotionGuidanceSampler.sampler_name"
UPDATE, DECAY, SMOOTHING, REUSE, TURN, WINDOWS, SIZE = (
    f"{OPTIONS}.{name}"
    for name in ("update", "strength_decay", "smoothing", "reuse_steps", "turn", "window_share", "size")
)
SAMPLERS = ("euler", "heun", "dpmpp_2m", "uni_pc")
STARTED = "started from the noised reference"
SETTINGS: dict[str, list[str]] = {
    AS_IT_IS: [],
    **{f"reference at sigma {level}": [f"{SIGMA}={level}"] for level in (0.2, 0.7, 0.9)},
    **{f"blocks {blocks}": [f"{BLOCKS}={blocks}"] for blocks in ("4", "5", "2, 4, 5")},
    "q and k after RoPE": [f"{ROPE}=post"],
    "heads averaged after reading": [f"{HEADS}=mean_flow"],
    **{f"window centred on {centre}": [f"{CENTRE}={centre}"] for centre in ("match", "trusted")},
    **{f"window radius {radius}": [f"{RADIUS}={radius}"] for radius in (1, 3)},
    **{f"temperature {value}": [f"{TEMPERATURE}={value}"] for value in (0.5, 2.0, 4.0)},
    **{f"frame distances up to {span}": [f"{SPAN}={span}"] for span in (1, 3)},
    "whole frames": [f"{RADIUS}=-1"],
    "every token weighs alike": [f"{WEIGHT}=none"],
    **{f"strength {value}": [f"{STRENGTH}={value}"] for value in (0.02, 0.06)},
    **{f"guided from sigma {value}": [f"{START}={value}"] for value in (0.96, 0.92)},
    **{f"guided to sigma {value}": [f"{END}={value}"] for value in (0.88, 0.7)},
    **{f"{steps} inner steps": [f"{INNER}={steps}"] for steps in (2, 8)},
    **{f"gradient of every {n}. inner step": [f"{RECOMPUTE}={n}"] for n in (1, 4)},
    "published update": [f"{UPDATE}=adam", f"{STRENGTH}=0.003", f"{DECAY}=0.3333", f"{INNER}=10", f"{RECOMPUTE}=3"],
    **{f"direction blurred by {value}": [f"{SMOOTHING}={value}"] for value in (0.7, 1.5)},
    **{f"gradient kept for {n} more steps": [f"{REUSE}={n}"] for n in (1, 3)},
    "gradient kept for 3 more steps, whatever it turns": [f"{REUSE}=3", f"{TURN}=-1"],
    **{f"corresponding windows, {value}": [f"{WINDOWS}={value}"] for value in (0.3, 1.0)},
    "attention at half size": [f"{SIZE}=half"],
    STARTED: [],
    **{f"sampler {name}": [f"{SAMPLER}={name}"] for name in SAMPLERS},
    "motion read in the noise": [f"{AHEAD}=false"],
    "motion read in the noise, from sigma 0.96": [f"{AHEAD}=false", f"{START}=0.96"],
}


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt evaluate sweep", description=__doc__)
    parser.add_argument("--cases", type=int, default=18)
    parser.add_argument("--seed", type=int, default=1, help="of the list of cases; 0 is that of the evaluation")
    parser.add_argument("--only", nargs="+", default=list(SETTINGS), metavar="SETTING", help="names as in the table")
    parser.add_argument(
        "--preset", choices=(*PRESETS, CUSTOM), default=CUSTOM,
        help="what is changed: a preset, which many settings leave as it is (samplers do not), or attention's guidance "
        "alone (%(default)s, the default)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("evaluation-sweep"))
    parser.add_argument("--half", action="store_true", help="the host's models in bfloat16: faster on recent CPUs")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = parse(argv)
    unknown = sorted(set(options.only) - set(SETTINGS))
    if unknown:
        known = ", ".join(map(repr, SETTINGS))
        raise InputError(f"{unknown[0]!r} is no setting; {known} are. Choose of them.")
    cases, started, scores = transfer_cases(options.cases, options.seed), time.time(), {}
    names = [AS_IT_IS, *(name for name in options.only if name != AS_IT_IS)]
    with TransferRuns(options.out, options.half) as runs:
        for name in names:
            changes = [f"VMT_MotionGuidanceSampler.preset={options.preset}", *SETTINGS[name]]
            row = guided_noised_start if name == STARTED else DemoGraph.guided
            kept = name if options.preset == CUSTOM else f"{options.preset}, {name}"
            scores[name] = [runs.scores(case, number, kept, row, changes) for number, case in enumerate(cases)]
            print(f"{name}: {time.time() - started:.0f} s", file=sys.stderr, flush=True)
    rows = {name: summarise(list_of) for name, list_of in scores.items()}
    for name in names[1:]:
        rows[name]["difference"] = summarise(differences(scores[name], scores[AS_IT_IS]))["correlation"]
    summary = {
        "half": options.half,
        "preset": options.preset,
        "cases": options.cases,
        "seed": options.seed,
        "settings": SETTINGS,
        "rows": rows,
    }
    write_json(options.out / "summary.json", summary)
    print(table({name + _difference(rows[name]): rows[name] for name in names}, "setting (difference of the mean)"))
    return 0


def _difference(row: dict) -> str:
    if "difference" not in row:
        return ""
    low, high = row["difference"]["mean_95"]
    return f" ({row['difference']['mean']:+.2f}, {low:+.2f} to {high:+.2f})"
