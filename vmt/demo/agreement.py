"""Half-drawn clips that say two things at once, and what the model says when they say one.

Early on its way from noise the model does not know yet where a thing goes. What it has drawn by then may have it on one
path in the first frames and on another in the last; the thing then fades in one place and comes up in another. Here
such states are made by mixing the latents of two clips of one thing on one ground, frame by frame. The model learns to
say of the mixture what it says itself of the clip that has the larger part, so that the frames come to agree.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from ..synthetic.render import render
from ..synthetic.sample import sample_scene, sample_way
from .fit import Batch, fit
from .shards import shards
from .train_dit import compiled, draw_sigma, encoded, noised, velocity
from .vocabulary import embed, tokenize
from .wan_dit import WanDiT
from .wan_vae import WanVAE

FOLDER = "ways"
SHARD = 64  # things in one file
WAYS = 3  # that each thing goes
LOWEST = 0.4  # noise level; below it a thing stays where it is
LEAN, TURN = 1.5, 6.0  # spread of how much more there is of one clip than of the other, and of how fast that changes
NULL_SHARE = 0.25  # of the clips, learned under the null prompt
MIXED, DATA = 6, 2  # clips a step: mixtures; of the data, on which the model is to stay as it is


class Ways(NamedTuple):
    """N things, each in `WAYS` clips. latents: (N,WAYS,16,F,h,w) float16; words: (N,M) numbers of the prompt."""

    latents: Tensor
    words: Tensor


@torch.no_grad()
def make_ways(
    folder: Path, vae: WanVAE, count: int, device: str = "cpu", say=print, until: float = float("inf")
) -> Ways:
    """About so many things of training, each going several ways; made once and kept in shards under `folder`.

    Raises:
        TimeoutError: it is past `until`; what is made is kept.
    """

    def make(shard: int) -> dict[str, Tensor]:
        latents, words = [], []
        for number in range(SHARD * shard, SHARD * (shard + 1)):
            rng = Random(f"ways {number}")
            scene = sample_scene(rng, "single")
            clips = [render(one).frames for one in [scene, *(sample_way(rng, scene) for _ in range(WAYS - 1))]]
            latents.append(torch.cat([encoded(vae, clip[None].to(device)) for clip in clips]).half().cpu())
            words.append(tokenize(scene.caption)[0])
        return {"latents": torch.stack(latents), "words": torch.tensor(words)}

    def told(made: int, seconds: float) -> None:
        say(f"things going several ways: {made * SHARD}/{count}  {seconds:.0f} s")

    kept = list(shards(folder / FOLDER, range(-(-count // SHARD)), make, told, until))
    return Ways(*(torch.cat([shard[name] for shard in kept]).to(device) for name in Ways._fields))


def draw_share(batch: int, frames: int, device: str | torch.device = "cpu") -> Tensor:
    """Random shares (B,F), 0..1, of the clip that has the larger part in a mixture: its mean is 1/2 or more.

    Over the frames it is even, or turns from one clip to the other, fast or slowly, somewhere.
    """
    lean, turn = LEAN * torch.randn(batch, 1, device=device), TURN * torch.randn(batch, 1, device=device)
    share = torch.sigmoid(lean + turn * torch.linspace(-1, 1, frames, device=device))
    return torch.where(share.mean(1, keepdim=True) < 0.5, 1 - share, share)


def agreed_velocity(
    said: Callable, larger: Tensor, mixed: Tensor, noise: Tensor, sigma: Tensor, context: Tensor
) -> tuple[Tensor, Tensor]:
    """A mixture on its way and the velocity there that leads where the larger part by itself would lead.

    x - sigma v is where a velocity leads to. With v what is said at the larger part under the same noise, the same
    place is reached from the mixture x' by v + (x' - x) / sigma.

    Args:
        said: (x, noise levels (B,), context) -> velocity. larger, mixed, noise: (B,16,F,h,w). sigma: (B,), above 0.
    Returns:
        x' and that velocity, both (B,16,F,h,w).
    """
    x, other = noised(larger, noise, sigma), noised(mixed, noise, sigma)
    return other, said(x, sigma, context) + (other - x) / sigma.view(-1, 1, 1, 1, 1)


def train_agreement(
    checkpoint: Path, ways: Ways, clips: tuple[Tensor, Tensor], dit: WanDiT, steps: int, lr: float,
    device: str = "cpu", say=print, until: float = float("inf"),
) -> WanDiT:  # fmt: skip
    """Train, or go on from `checkpoint`; returns the averaged model.

    Args:
        clips: latents and word numbers of the data, of 33 frames.
        dit: trained in place; as it is now it says what there is to learn.
    Raises:
        TimeoutError: it is past `until`; the checkpoint is there.
    """
    dit = dit.to(device)
    said = partial(compiled(velocity), deepcopy(dit).eval().requires_grad_(False))

    def batch() -> Batch:
        things = torch.randint(len(ways.latents), (MIXED,), device=device)
        pair = torch.rand(MIXED, WAYS, device=device).argsort(1)[:, :2]
        larger, smaller = (ways.latents[things, way].float() for way in pair.T)
        share = draw_share(MIXED, larger.shape[2], device)[:, None, :, None, None]
        chosen = torch.randint(len(clips[0]), (DATA,), device=device)
        data = clips[0][chosen].float()
        larger, mixed = torch.cat([larger, data]), torch.cat([torch.lerp(smaller, larger, share), data])

        words = torch.cat([ways.words[things], clips[1][chosen]])
        context = embed(words * (torch.rand(len(words), 1, device=device) >= NULL_SHARE))
        sigma = LOWEST + (1 - LOWEST) * draw_sigma(len(larger), larger.shape[2], device)
        with torch.no_grad():
            x, target = agreed_velocity(said, larger, mixed, torch.randn_like(larger), sigma, context)
        return Batch(x, sigma, context, target)

    return fit("agreement", checkpoint, dit, batch, steps, lr, device, say, until)
