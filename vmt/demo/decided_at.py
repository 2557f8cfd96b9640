"""`python3 -m vmt evaluate decided`: at which noise level the demo model decides how things, or the camera, move.

It is given the truth: a clip of what the prompt names that moves just as a reference does, noised to a level, and draws
on from there. Above the level at which a motion is decided nothing of it is left; what guides a video, or is tuned into
the model, has to act down to there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torch import Tensor

from ..bench.cases import BenchCase, bench_cases
from ..flow_matching import shifted_sigmas
from ..metrics.summary import summarise
from ..whole_file import write_json
from .sampling import clean_latent, load_dit, load_vae, sample
from .train import DIT_FILE, VAE_FILE, WEIGHTS

STEPS, CFG, SHIFT = 16, 4.0, 5.0  # as the demo workflow has them
STARTS = (2, 4, 6, 8, 10, 11, 12)  # steps that are not made: the first ones
KINDS = {"single_object": "centred_correlation", "camera": "camera_correlation"}


def drawn_from(dit, vae, case: BenchCase, clean: Tensor, start: int, half: bool = False) -> Tensor:
    """A draw of the case's prompt and seed whose first `start` steps are not made: `clean` at that noise level instead.

    Args:
        clean: (1,16,F,h,w) float32, see `clean_latent`.
    Returns:
        frames (T,H,W,3) float32 0..1.
    """
    return sample(
        dit, vae, [case.caption], STEPS, CFG, SHIFT, case.seed, half=half, ancestral=True, clean=clean, start=start
    )[0]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m vmt evaluate decided", description=__doc__)
    parser.add_argument("--category", choices=tuple(KINDS), default="single_object")
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the bench's cases (default: %(default)s, the public)")
    parser.add_argument("--half", action="store_true", help="draw in bfloat16: twice as fast, for a quick look")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    dit, vae = load_dit(options.weights / DIT_FILE), load_vae(options.weights / VAE_FILE)
    levels, key = shifted_sigmas(STEPS, SHIFT).tolist(), KINDS[options.category]
    rows: list[dict[str, float]] = []
    for number, case in enumerate(bench_cases(options.category, options.cases, options.seed), 1):
        clip, clean = case.clip(), clean_latent(vae, case.perfect_transfer()[None]).clone()
        left = {}
        for start in STARTS:
            drawn = drawn_from(dit, vae, case, clean, start, options.half)
            left[f"{levels[start]:.2f}"] = case.figures(clip, drawn, None, False)[key]
        rows.append(left)
        told = "  ".join(f"{level} {value:+.2f}" for level, value in left.items() if value is not None)
        print(f"{number}/{options.cases}  {case.about}: {told}", file=sys.stderr, flush=True)
    table = summarise(rows, 1)
    if options.json:
        write_json(options.json, table)
    for level, row in table.items():
        print(line_of(level, row))
    return 0


def line_of(level: str, row: dict) -> str:
    """A row of `summarise` in words; undefined where no case has a motion to correlate with."""
    if not row["n"]:
        return f"noise level {level}  undefined"
    return f"noise level {level}  " + "  ".join(f"{name} {row[name]:+.2f}" for name in ("median", "mean"))
