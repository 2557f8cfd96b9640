"""`python3 -m vmt train demo`: make the demo model again from nothing. Stops and goes on at any point."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from .sampling import load_vae
from .train_dit import make_latents, train_dit
from .train_vae import round_trip_psnr, save_half, train_vae
from .wan_dit import WanShape

WEIGHTS = Path(__file__).parent / "weights"
DIT_FILE = Path("diffusion_models") / "vmt_demo_wan_t2v.safetensors"
VAE_FILE = Path("vae") / "vmt_demo_wan_vae.safetensors"


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt train demo", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path(".vmt") / "train", help="checkpoints and latents (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=WEIGHTS, help="where the finished weights go (default: the repository's)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--vae-steps", type=int, default=16000)
    parser.add_argument("--vae-batch", type=int, default=2, help="clips a step")
    parser.add_argument("--images", type=int, default=8192, help="training images for the DiT")
    parser.add_argument("--clips", type=int, default=2048, help="training clips of 33 frames for the DiT")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=4, help="whole clips a step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--blocks", type=int, default=WanShape.blocks)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long, to go on later")
    return parser.parse_args(argv)


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
        if not done.exists():
            vae = train_vae(options.work, options.vae_steps, options.vae_batch, options.device, until=until)
            save_half(vae, vae_path, {"licence": "GPL-3.0-or-later", "made_by": "python3 -m vmt train demo"})
            report = {
                kind: round_trip_psnr(vae, kind == "textured", device=options.device) for kind in ("flat", "textured")
            }
            done.write_text(json.dumps(report))
            print("vae round trip, dB:", report, flush=True)
        vae = load_vae(vae_path).to(options.device)
        images = make_latents(options.work, vae, options.images, 1, options.device, until=until, batch=32)
        clips = make_latents(options.work, vae, options.clips, 33, options.device, until=until)
        dit = train_dit(
            options.work, images, clips, WanShape(blocks=options.blocks), options.steps, options.batch, options.lr,
            options.device, until=until,
        )  # fmt: skip
        save_half(dit, options.out / DIT_FILE, {"licence": "GPL-3.0-or-later", "made_by": "python3 -m vmt train demo"})
    except TimeoutError as error:
        print(error)
        return 3
    print(f"wrote {options.out / DIT_FILE} and {vae_path}")
    return 0
