"""Training the demo's DiT towards velocities that are given: what learning from its own draws has in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from .precision import fast
from .train_dit import compiled, dit_loss
from .training import Run, rate
from .wan_dit import WanDiT


class Batch(NamedTuple):
    """x, target: (B,16,F,h,w) float32, where the model is asked and the velocity to say there. sigma: (B,) noise
    levels. context: (B,L,4096) prompts."""

    x: Tensor
    sigma: Tensor
    context: Tensor
    target: Tensor


def fit(
    name: str, checkpoint: Path, dit: WanDiT, batch: Callable[[], Batch], steps: int, lr: float, device: str = "cpu",
    say=print, until: float = float("inf"),
) -> WanDiT:  # fmt: skip
    """Train, or go on from `checkpoint`; returns the averaged model.

    Args:
        name: of the run, for what it says. dit: trained in place. batch: draws the clips of a step.
    Raises:
        TimeoutError: it is past `until`; the checkpoint is there.
    """
    matrices = {name for name, p in dit.named_parameters() if name.startswith("blocks.") and p.ndim == 2}
    run = Run(dit, matrices, lr, checkpoint, ema=0.995)
    torch.manual_seed(3000 + run.step)  # the training command owns its process
    loss_of, average = compiled(dit_loss), None
    while run.step < steps:
        with fast(device):
            clips = batch()
            loss = loss_of(dit, clips.x, clips.context, clips.sigma, clips.target)
        loss.backward()
        run.update(rate(run.step, steps))
        average = loss.detach() if average is None else torch.lerp(average, loss.detach(), 0.02)
        if run.step % 50 == 0:
            say(f"{name} {run.step}/{steps}  loss {average.item():.4f}  {run.seconds:.0f} s")
        run.keep(every=200, until=until)
    run.save()
    run.use_average()
    return dit
