"""`python3 -m vmt evaluate samples`: how often the demo model draws what a held-out prompt names, without a host."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from ..contact_sheet import contact_sheet
from ..metrics.summary import summarise
from ..synthetic.scene import Scene
from ..whole_file import write_json
from .few_steps import CFG, STEPS
from .few_steps import FILE as FEW_STEPS_FILE
from .judgement import Judgement, judge_sample
from .lora_file import add_lora
from .sampling import load_dit, load_vae, sample
from .train import DIT_FILE, VAE_FILE, WEIGHTS
from .transfer_cases import held_out_prompts

SHEET_ROWS, SHEET_COLUMNS = 32, 9
SAMPLERS = ("euler_ancestral", "euler")


def shares(judged: Iterable[Judgement]) -> dict[str, float]:
    """Shares over judged clips, 0..1.

    Returns:
        colour_right, ground_right (its colour), texture_right, shape_right, no_jump: shares of clips; one_object: share
        of frames with exactly one connected thing; num: clips.
    """
    figures = [clip.figures() for clip in judged]
    return {**{key: figure["mean"] for key, figure in summarise(figures, 1).items()}, "num": len(figures)}


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt evaluate samples", description=__doc__)
    parser.add_argument("--num", type=int, default=128, help="clips (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("evaluation"), help="folder of the results (default: %(default)s)"
    )
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="folder of the weights (default: the repository's)"
    )
    parser.add_argument(
        "--few-steps", action="store_true", help=f"with the few-step LoRA: {STEPS} steps at CFG {CFG:g}, by euler"
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--shift", type=float, default=5.0)
    parser.add_argument(
        "--sampler", choices=SAMPLERS, default=SAMPLERS[0], help="(default: %(default)s, as in the workflows)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--half", action="store_true", help="sample in bfloat16: twice as fast, for a quick look")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = parse(argv)
    dit = load_dit(options.weights / DIT_FILE)
    if options.few_steps:
        add_lora(dit, options.weights / FEW_STEPS_FILE)
        options.steps, options.cfg, options.sampler = STEPS, CFG, "euler"
    dit = dit.to(options.device)
    vae = load_vae(options.weights / VAE_FILE).to(options.device)
    scenes = held_out_prompts(options.num, options.seed)
    clips, started = [], time.time()
    for i in range(0, len(scenes), options.batch):
        captions = [scene.caption for scene in scenes[i : i + options.batch]]
        clips += sample(
            dit, vae, captions, options.steps, options.cfg, options.shift, options.seed + i, half=options.half,
            ancestral=options.sampler == "euler_ancestral",
        )  # fmt: skip
        print(f"{len(clips)}/{len(scenes)} clips, {time.time() - started:.0f} s", file=sys.stderr, flush=True)
    judged = [judge_sample(scene, frames) for scene, frames in zip(scenes, clips, strict=True)]
    figures = shares(judged)
    write_json(options.out / "figures.json", figures, 2)
    cases = [{"caption": s.caption, "seen": j.words, **j.figures()} for s, j in zip(scenes, judged, strict=True)]
    write_json(options.out / "clips.json", cases)
    contact_sheet(_sheet_rows(scenes, clips), SHEET_COLUMNS).save(options.out / "sheet.png")
    print(json.dumps(figures, indent=2))
    return 0


def _sheet_rows(scenes: list[Scene], clips: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    rows = {}
    for number, (scene, frames) in enumerate(zip(scenes[:SHEET_ROWS], clips, strict=False)):
        thing, ground = scene.objects[0], scene.ground
        rows[f"{number}\n{thing.colour}\n{thing.shape}\n{ground.texture}\n{ground.colour}"] = frames
    return rows
