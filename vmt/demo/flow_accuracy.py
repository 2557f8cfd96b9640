"""`python3 -m vmt evaluate flow`: what of the true motion each way of reading attention sees, on the demo model.

No sampling: clips with a known path are noised to a level, looked at once, and the displacement that is read on the
thing is compared with the true one. This is how block, noise level, rope and windows are chosen.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import torch

from ..features import MotionFeatures
from ..flow_matching import seeded_noise
from ..signals.attention_flow import AttentionFlowConfig, extract
from ..synthetic import render
from ..token_grid import TokenGrid
from ..whole_file import write_json
from .sampling import clean_latent, load_dit, load_vae
from .train import DIT_FILE, VAE_FILE, WEIGHTS
from .transfer_cases import transfer_cases
from .vocabulary import encode
from .wan_dit import WanDiT, rope_angles, rotate

TOKEN_PX = 16


@torch.inference_mode()
def tapped(dit: WanDiT, x: torch.Tensor, sigma: float) -> dict[str, dict[int, tuple[torch.Tensor, torch.Tensor]]]:
    """{"pre" or "post": block -> (q, k)}, each (1, N, heads, D), of one pass over a latent under the empty prompt."""
    text = encode("")[0][None]
    taken = dit.queries_keys(x, torch.tensor([1000 * sigma]), text, range(len(dit.blocks)))
    pre = {number: tuple(t.float() for t in qk) for number, qk in taken.items()}
    angles = rope_angles(x.shape[2], x.shape[3] // 2, x.shape[4] // 2, dit.shape.width // dit.shape.heads)
    return {"pre": pre, "post": {n: tuple(rotate(t, angles) for t in qk) for n, qk in pre.items()}}


@torch.inference_mode()
def one_step_on(dit: WanDiT, x: torch.Tensor, sigma: float, to: float, caption: str) -> torch.Tensor:
    """The latent one Euler step on, from noise level sigma to `to`, by the caption's velocity."""
    return x + (to - sigma) * dit(x, torch.tensor([1000 * sigma]), encode(caption)[0][None]).float()


def read_on_thing(flow, mask_tok: torch.Tensor, path_tok: torch.Tensor, block: int, ways: str) -> dict[str, np.ndarray]:
    """Per frame pair: the read displacement averaged over the thing, the true one, and the mean motion of the
    ground."""
    held = flow.blocks[block]
    read = held.both_ways_tok if ways == "both" else held.displacement_tok
    got, true, ground = [], [], []
    for (i, j), moved in zip(flow.pairs.tolist(), read, strict=True):
        on = mask_tok[i]
        got.append((moved * on[:, None]).sum(0) / on.sum().clamp_min(1e-6))
        true.append(path_tok[j] - path_tok[i])
        ground.append(moved[on < 0.01].norm(dim=-1).mean())
    return {name: torch.stack(values).numpy() for name, values in (("got", got), ("true", true), ("ground", ground))}


def figures(parts: list[dict[str, np.ndarray]]) -> dict[str, float]:
    got, true = (np.concatenate([part[name] for part in parts]) for name in ("got", "true"))
    correlation = float(np.corrcoef(got.ravel(), true.ravel())[0, 1])
    slope = float((got * true).sum() / (true * true).sum())
    error = float(np.linalg.norm(got - true, axis=1).mean())
    ground = float(np.nanmean([part["ground"].mean() for part in parts]))
    return {"correlation": correlation, "slope": slope, "error_tok": error, "ground_tok": ground}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m vmt evaluate flow", description=__doc__)
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--sigmas", type=float, nargs="+", default=[0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95])
    parser.add_argument("--ropes", nargs="+", default=["pre", "post"])
    parser.add_argument("--centres", nargs="+", default=["match", "trusted", "own"])
    parser.add_argument("--radii", type=int, nargs="+", default=[2])
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0])
    parser.add_argument("--heads", nargs="+", default=["mean_logits"])
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=("one", "both"),
        default=["both"],
        help="there, or half the difference of there and back",
    )
    parser.add_argument(
        "--ahead", type=float, metavar="LEVEL", help="of higher noise levels, look one step ahead, at this one"
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    dit, vae = load_dit(options.weights / DIT_FILE), load_vae(options.weights / VAE_FILE)
    table: dict[tuple, list] = {}
    for number, case in enumerate(transfer_cases(options.cases)):
        clip = render(case.reference)
        clean = clean_latent(vae, clip.frames[None])
        grid = TokenGrid.from_latent_shape(clean.shape)
        path_tok = per_latent_frame(clip.tracks_px[0]) / TOKEN_PX
        mask_tok = _token_cover(clip.masks[0])
        for sigma in options.sigmas:
            noise = seeded_noise(tuple(clean.shape), number)
            x, level = torch.lerp(clean, noise, sigma), sigma
            if options.ahead is not None and sigma > options.ahead:
                x, level = one_step_on(dit, x, sigma, options.ahead, case.reference.caption), options.ahead
            seen = tapped(dit, x, level)
            for rope, centre, radius, temperature, heads in itertools.product(
                options.ropes, options.centres, options.radii, options.temperatures, options.heads
            ):
                queries = {n: qk[0] for n, qk in seen[rope].items()}
                keys = {n: qk[1] for n, qk in seen[rope].items()}
                features = MotionFeatures(grid, queries, keys, rope, sigma, clean, "demo")
                config = AttentionFlowConfig(temperature=temperature, radius=radius, centre=centre, heads=heads)
                flow = extract(features, config)
                for block, ways in itertools.product(flow.blocks, options.ways):
                    key = (sigma, rope, centre, radius, temperature, heads, ways, block)
                    table.setdefault(key, []).append(read_on_thing(flow, mask_tok, path_tok, block, ways))
        print(f"{number + 1}/{options.cases}", file=sys.stderr, flush=True)
    names = ("sigma", "rope", "centre", "radius", "temperature", "heads", "ways", "block")
    rows = [{**dict(zip(names, key, strict=True)), **figures(parts)} for key, parts in table.items()]
    rows.sort(key=lambda row: -row["correlation"])
    if options.json:
        write_json(options.json, rows, 0)
    for row in rows[:40]:
        print("  ".join(f"{value:.3f}" if isinstance(value, float) else f"{value}" for value in row.values()))
    return 0


def _token_cover(mask: torch.Tensor) -> torch.Tensor:
    """Share of each token that the thing covers, (F, S), averaged over the pixel frames of a latent frame."""
    return per_latent_frame(torch.nn.functional.avg_pool2d(mask[:, None], TOKEN_PX)[:, 0].flatten(1))


def per_latent_frame(values: torch.Tensor) -> torch.Tensor:
    """(T, ...) to (F, ...): latent frame 0 is pixel frame 0, every later one the mean of its four."""
    return torch.cat([values[:1], values[1:].unflatten(0, (-1, 4)).mean(1)])
