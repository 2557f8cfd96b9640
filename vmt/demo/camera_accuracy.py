"""`python3 -m vmt evaluate camera`: whether the ground under a moving camera is seen to move, by attention and latent.

No sampling: drawn scenes, whose motion is known at every place, are looked at once. Stripes are left out: nothing shows
a way along them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from ..features import MotionFeatures
from ..flow_matching import seeded_noise
from ..guidance import trust
from ..signals.attention_flow import AttentionFlowConfig, extract
from ..signals.latent_flow import extract_latent_flow
from ..synthetic import Scene, render, sample_scene
from ..token_grid import TokenGrid
from ..whole_file import write_json
from .flow_accuracy import per_latent_frame, tapped
from .sampling import clean_latent, load_dit, load_vae
from .train import DIT_FILE, VAE_FILE, WEIGHTS


def camera_scenes() -> Iterator[Scene]:
    """A moving camera over a tiled or spotted ground, without end, the same ones each time."""
    for number in count():
        scene = sample_scene(Random(f"camera accuracy {number}"), "camera")
        if scene.ground.texture != "striped":
            yield scene


def camera_displacement(camera: Tensor, pairs: Tensor, size: tuple[int, int], cell_px: int) -> tuple[Tensor, Tensor]:
    """By how much a camera moves what is seen in each cell, from latent frame i to j of each pair.

    Args:
        camera: (T,2,3) world to pixels, T = 4(F-1)+1. pairs: (P,2). size: (rows, columns) of cells of cell_px pixels.
    Returns:
        (P,h,w,2) float64 cells, and whether it is then still in the frame, (P,h,w).
    """
    camera = per_latent_frame(camera.double())
    rows, columns = (torch.arange(side, dtype=torch.float64) * cell_px + (cell_px - 1) / 2 for side in size)
    here = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
    before, after = (camera[pairs[:, side]][:, None, None] for side in (0, 1))
    world = torch.linalg.solve(before[..., :2], (here - before[..., 2])[..., None])
    there = (after[..., :2] @ world)[..., 0] + after[..., 2]
    last = torch.tensor([side * cell_px - 1 for side in size])
    return (there - here) / cell_px, ((there >= 0) & (there <= last)).all(-1)


def agreement(found: Tensor, true: Tensor, inside: Tensor) -> float:
    """Cosine of the displacement read and the true one, over all places that stay in the frame: -1..1."""
    return trust.agreement(found.double()[inside], true[inside])


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m vmt evaluate camera", description=__doc__)
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--sigma", type=float, default=0.5, help="noise level of the look (default: %(default)s)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    dit, vae = load_dit(options.weights / DIT_FILE), load_vae(options.weights / VAE_FILE)
    rows: dict[str, list[float]] = {}
    for number, scene in enumerate(islice(camera_scenes(), options.cases)):
        clip = render(scene)
        clean = clean_latent(vae, clip.frames[None])
        grid = TokenGrid.from_latent_shape(clean.shape)
        x = torch.lerp(clean, seeded_noise(tuple(clean.shape), number), options.sigma)
        seen = tapped(dit, x, options.sigma)["pre"]
        queries, keys = ({block: qk[i] for block, qk in seen.items()} for i in (0, 1))
        flow = extract(MotionFeatures(grid, queries, keys, "pre", options.sigma, clean, "demo"), AttentionFlowConfig())
        size = grid.height, grid.width
        truth = camera_displacement(clip.camera, flow.pairs, size, 16)
        for block, read in flow.blocks.items():
            agrees = agreement(read.both_ways_tok.unflatten(1, size), *truth)
            rows.setdefault(f"attention, block {block}", []).append(agrees)
        latent = extract_latent_flow(clean, grid, AttentionFlowConfig())
        size = tuple(latent.displacement.shape[1:3])
        truth = camera_displacement(clip.camera, latent.pairs, size, 128 // size[0])
        rows.setdefault("latent flow", []).append(agreement(latent.displacement, *truth))
        told = f"{number + 1}/{options.cases}  {scene.camera_motion} over {scene.caption}"
        print(f"{told}: latent flow {rows['latent flow'][-1]:.2f}", file=sys.stderr, flush=True)
    table = {name: _summary(values) for name, values in rows.items()}
    if options.json:
        write_json(options.json, table)
    for name, row in table.items():
        print(f"{name:20s}" + "  ".join(f"{key} {value:+.2f}" for key, value in row.items()))
    return 0


def _summary(values: list[float]) -> dict[str, float]:
    held = torch.tensor(values)
    return {"median": float(held.median()), "mean": float(held.mean()), "least": float(held.min())}
