"""Training the demo's DiT to end its own way where the draw should have ended: see `corrections`."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from .corrections import Corrections
from .fit import Batch, fit
from .train_dit import compiled, draw_sigma, noised, velocity
from .vocabulary import embed
from .wan_dit import WanDiT

NULL_SHARE = 0.25  # of the corrections, and of the clips beside them, learned under the null prompt
OWN, DATA = 5, 2  # clips a step: corrections; of the data, on which the model is to stay as it is


def corrected_velocity(draws: Corrections, index: Tensor, level: Tensor, null: Tensor) -> Tensor:
    """What the model should have said on its way, (B,16,F,h,w) float32: its word, less the correction over the level.

    x - sigma v is where the velocity leads to, so a velocity smaller by shift / sigma leads to the draw plus its shift.
    Under the null prompt it is the same correction, so guidance of any scale shifts what is drawn by once as much.

    Args:
        index: (B,) draws. level: (B,) numbers of noise levels. null: (B,) bool, the null prompt instead of the draw's.
    """
    said = torch.where(null.view(-1, 1, 1, 1, 1), draws.unguided[index, level], draws.wanted[index, level]).float()
    return said - draws.shift[index].float() / draws.sigmas[level].view(-1, 1, 1, 1, 1)


def train_corrections(
    checkpoint: Path, draws: Corrections, clips: tuple[Tensor, Tensor], dit: WanDiT, steps: int, lr: float,
    device: str = "cpu", say=print, until: float = float("inf"),
) -> WanDiT:  # fmt: skip
    """Train, or go on from `checkpoint`; returns the averaged model.

    Args:
        clips: latents and word numbers of the data, of 33 frames.
        dit: the model that made `draws`; trained in place.
    Raises:
        TimeoutError: it is past `until`; the checkpoint is there.
    """
    dit = dit.to(device)
    before, said = deepcopy(dit).eval().requires_grad_(False), compiled(velocity)

    def batch() -> Batch:
        index, level = (torch.randint(n, (OWN,), device=device) for n in draws.x.shape[:2])
        null = torch.rand(len(index), device=device) < NULL_SHARE
        words = draws.words[index] * ~null[:, None]
        own = draws.x[index, level].float(), draws.sigmas[level], corrected_velocity(draws, index, level, null)

        chosen = torch.randint(len(clips[0]), (DATA,), device=device)
        clean, sigma = clips[0][chosen].float(), draw_sigma(DATA, clips[0].shape[2], device)
        x = noised(clean, torch.randn_like(clean), sigma)
        texts = clips[1][chosen] * (torch.rand(len(chosen), 1, device=device) >= NULL_SHARE)
        with torch.no_grad():
            stays = said(before, x, sigma, embed(texts))
        x, sigma, target = (torch.cat(pair) for pair in zip(own, (x, sigma, stays), strict=True))
        return Batch(x, sigma, embed(torch.cat([words, texts])), target)

    return fit("corrections", checkpoint, dit, batch, steps, lr, device, say, until)
