"""A few-step variant of the demo model: four calls of the model a draw, in the place of forty.

The full model's way from noise to clip is cut into as many stretches as the short run has steps; on each the student
learns the mean velocity. That is progressive distillation (arXiv 2202.00512) in one go, with the guidance by the null
prompt distilled along (arXiv 2210.03142). The ways are those of `corrections`, and lead to the corrected clips. Kept is
the nearest LoRA, which the host's stock loader takes, as artists take the few-step LoRAs of Wan.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from ..flow_matching import shifted_sigmas
from .corrections import SHIFT, Corrections
from .fit import Batch, fit
from .vocabulary import embed
from .wan_dit import WanDiT

STEPS, CFG = 4, 1.0
RANK = 64  # of the LoRA
FILE = Path("loras") / "vmt_demo_wan_4_steps.safetensors"
CLIPS = 7  # a step of training


def mean_velocity(draws: Corrections, index: Tensor, stretch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where stretches of the short run begin, x (B,16,F,h,w), the noise level there (B,), and the velocity to learn.

    Args:
        index: (B,) draws. stretch: (B,) 0 to STEPS - 1; its first noise level is one of the full run's.
    """
    levels = shifted_sigmas(STEPS, SHIFT).to(draws.x.device)
    first = (draws.sigmas - levels[:-1, None]).abs().argmin(1)
    begin, end = draws.x[index, first[stretch]].float(), draws.end[index].float()
    last = (stretch == STEPS - 1).view(-1, 1, 1, 1, 1)
    end = torch.where(last, end, draws.x[index, first[(stretch + 1) % STEPS]].float())
    level, lower = levels[stretch], levels[stretch + 1]
    wide = (-1, 1, 1, 1, 1)
    velocity = (begin - end) / (level - lower).view(wide) - draws.shift[index].float() / level.view(wide)
    return begin, level, velocity


def train_few_steps(
    checkpoint: Path, draws: Corrections, dit: WanDiT, steps: int, lr: float, device: str = "cpu", say=print,
    until: float = float("inf"),
) -> WanDiT:  # fmt: skip
    """Train a copy of `dit`, or go on from `checkpoint`; returns the averaged student.

    Raises:
        TimeoutError: it is past `until`; the checkpoint is there.
    """

    def batch() -> Batch:
        index = torch.randint(len(draws.x), (CLIPS,), device=device)
        stretch = torch.arange(CLIPS, device=device) % STEPS
        x, sigma, velocity = mean_velocity(draws, index, stretch)
        return Batch(x, sigma, embed(draws.words[index]), velocity)

    student = deepcopy(dit).to(device).train().requires_grad_()
    for name, parameter in student.named_parameters():
        if name.endswith("modulation"):  # lies beside a block's parts: the host's loader would leave the change out
            parameter.requires_grad_(False)
    return fit("few steps", checkpoint, student, batch, steps, lr, device, say, until)
