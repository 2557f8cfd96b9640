"""`python3 -m vmt evaluate vae`: what is left of held-out clips after the VAE, by kind of ground, without a host."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from ..errors import InputError
from .sampling import load_vae
from .train import VAE_FILE, WEIGHTS
from .train_vae import round_trip_psnr


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt evaluate vae", description=__doc__)
    parser.add_argument("--num", type=int, default=16, help="clips of each kind (default: %(default)s)")
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="folder of the weights (default: the repository's)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = parse(argv)
    if options.num < 1:
        raise InputError(f"{options.num} clips were asked for; 1 or more are needed. Change --num.")
    vae = load_vae(options.weights / VAE_FILE).to(options.device)
    found = round_trip_psnr(vae, options.num, options.device)
    figures = {f"{kind}_psnr_db": round(psnr, 2) for kind, psnr in found.items()}
    print(json.dumps({**figures, "num": options.num}, indent=2))
    return 0
