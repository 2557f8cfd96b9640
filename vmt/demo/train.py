"""`python3 -m vmt train demo`: make the demo model again from nothing. Stops and goes on at any point."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch

from ..errors import InputError
from ..synthetic.sample import KINDS
from ..whole_file import write_json
from .corrections import FOLDER, make_corrections
from .few_steps import FILE as FEW_STEPS_FILE
from .few_steps import RANK, train_few_steps
from .frame_guidance import FrameGuidance
from .heads import DIT_FILE, VAE_FILE, write_heads
from .lora_file import save_lora
from .sampling import load_dit, load_vae
from .train_corrections import train_corrections
from .train_dit import make_latents, train_dit
from .train_vae import round_trip_psnr, save_half, train_vae
from .vocabulary import COLOURS, GROUNDS
from .wan_dit import WanDiT, WanShape

WEIGHTS = Path(__file__).parent / "weights"
MADE_BY = {"licence": "GPL-3.0-or-later", "made_by": "python3 -m vmt train demo"}
STEADY_LR = 6e-4
CORRECTIONS_LR = 3e-4
FEW_STEPS_LR = 6e-4


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt train demo", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path(".vmt") / "train", help="checkpoints and latents (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=WEIGHTS, help="where the finished weights go (default: the repository's)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--vae-steps", type=int, default=8000)
    parser.add_argument("--vae-batch", type=int, default=2, help="clips a step")
    parser.add_argument("--images", type=int, default=20480, help="training images for the DiT")
    parser.add_argument("--clips", type=int, default=3072, help="training clips of 33 frames for the DiT")
    parser.add_argument(
        "--first-clip", type=int, default=0, help="number of the first of them, to train further on others"
    )
    parser.add_argument(
        "--kinds", type=_kinds, default=(), metavar="KIND,...",
        help=f"images and clips of these kinds alone, one named twice twice as often: {', '.join(KINDS)} (default: "
        "all, as the model card has them)",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=10000, help="on the data")
    parser.add_argument(
        "--steady-steps", type=int, default=2000, help="after them, towards its own draws under frame guidance"
    )
    parser.add_argument(
        "--corrections", type=int, default=640, help="own draws to correct and to learn from, after that; 0: none"
    )
    parser.add_argument(
        "--first-draw", type=int, default=0, help="number of the first of them, to correct others when trained further"
    )
    parser.add_argument(
        "--draw-pairs", type=_pairs, default=(), metavar="COLOUR/GROUND,...",
        help="draw things of these colours on these grounds alone: those that are drawn worst (default: all)",
    )  # fmt: skip
    parser.add_argument("--correction-steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=6, help="whole clips a step")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--blocks", type=int, default=WanShape.blocks)
    parser.add_argument(
        "--further", action="store_true",
        help="train the finished DiT of --out further, on clips and its own VAE; the learning rate starts afresh",
    )  # fmt: skip
    parser.add_argument(
        "--heads", action="store_true",
        help="train nothing; measure what the attention heads of the finished DiT of --out do, and write their table",
    )  # fmt: skip
    parser.add_argument(
        "--few-steps", type=int, default=0, metavar="STEPS",
        help="instead of all that: so many steps of teaching a LoRA of the finished DiT of --out to draw in four, from "
        "--corrections draws",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long, to go on later")
    return parser.parse_args(argv)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = tuple(tuple(pair.strip().split("/")) for pair in text.split(","))
    for pair in pairs:
        if len(pair) != 2 or pair[0] not in COLOURS or pair[1] not in GROUNDS:
            raise argparse.ArgumentTypeError(
                f"{'/'.join(pair)!r} is no pair of a thing's colour ({', '.join(COLOURS)}) and a ground's "
                f"({', '.join(GROUNDS)}); write green/grey"
            )
    return pairs


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(kind.strip() for kind in text.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is no kind of scene; there are {', '.join(KINDS)}")
    return kinds


def first_dit(options: argparse.Namespace) -> WanDiT:
    """The model that a training of the DiT begins with."""
    if options.further:
        return load_dit(options.out / DIT_FILE).train().requires_grad_()
    torch.manual_seed(1)  # the training command owns its process
    return WanDiT(WanShape(blocks=options.blocks))


def dit_runs(further: bool) -> list[str]:
    """Names of the DiT's runs: on the data, towards its guided draws, on corrections.

    Each has its own checkpoint.
    """
    first = "dit.further" if further else "dit"
    return [first, f"{first}.steady", f"{first}.corrected"]


def make_few_steps(options: argparse.Namespace, until: float) -> Path:
    """Draw with the finished model, teach the few-step LoRA, and write it."""
    dit = load_dit(options.out / DIT_FILE).to(options.device)
    draws = make_corrections(
        options.work, dit, load_vae(options.out / VAE_FILE).to(options.device), options.corrections, options.device,
        until=until, first=options.first_draw, pairs=options.draw_pairs,
    )  # fmt: skip
    student = train_few_steps(
        options.work / "few_steps.checkpoint.safetensors", draws, dit, options.few_steps,
        min(options.lr, FEW_STEPS_LR), options.device, until=until,
    )  # fmt: skip
    save_lora(dit, student, RANK, options.out / FEW_STEPS_FILE, MADE_BY)
    return options.out / FEW_STEPS_FILE


def main(argv: list[str]) -> int:
    options = parse(argv)
    until = time.time() + 60 * options.minutes
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    vae_path = options.out / VAE_FILE
    done = options.work / "vae.done"
    try:
        if options.heads:
            print(f"wrote {write_heads(options.out)}")
            return 0
        if options.few_steps:
            print(f"wrote {make_few_steps(options, until)}")
            return 0
        if not (done.exists() or options.further):
            vae = train_vae(options.work, options.vae_steps, options.vae_batch, options.device, until=until)
            save_half(vae, vae_path, MADE_BY)
            report = round_trip_psnr(vae, device=options.device)
            write_json(done, report, None)
            print("vae round trip, dB:", report, flush=True)
        vae = load_vae(vae_path).to(options.device)
        images = make_latents(
            options.work, vae, options.images, 1, options.device, until=until, batch=32, kinds=options.kinds
        )
        clips = make_latents(
            options.work, vae, options.clips, 33, options.device, until=until, first=options.first_clip,
            kinds=options.kinds,
        )  # fmt: skip
        checkpoints = [options.work / f"{name}.checkpoint.safetensors" for name in dit_runs(options.further)]
        taught = train_dit(
            checkpoints[0], images, clips, first_dit(options), options.steps, options.batch, options.lr, options.device,
            until=until, further=options.further,
        )  # fmt: skip
        dit = train_dit(
            checkpoints[1], images, clips, deepcopy(taught), options.steady_steps, options.batch,
            min(options.lr, STEADY_LR), options.device, until=until, further=True,
            guided=partial(FrameGuidance().velocity, taught.eval().requires_grad_(False)),
        )  # fmt: skip
        if options.corrections:
            draws = make_corrections(
                options.work, dit.eval(), vae, options.corrections, options.device, until=until,
                first=options.first_draw, pairs=options.draw_pairs,
            )  # fmt: skip
            dit = train_corrections(
                checkpoints[2], draws, clips, dit, options.correction_steps, min(options.lr, CORRECTIONS_LR),
                options.device, until=until,
            )  # fmt: skip
        save_half(dit, options.out / DIT_FILE, MADE_BY)
        if (
            options.further
        ):  # the next further run begins with these weights, not with this run's last step, nor with its draws
            for checkpoint in checkpoints:
                checkpoint.unlink(missing_ok=True)
            shutil.rmtree(options.work / FOLDER, ignore_errors=True)
    except TimeoutError as error:
        print(error)
        return 3
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"wrote {options.out / DIT_FILE} and {vae_path}")
    return 0
