"""What both trainings of the demo model share: schedule, moving average, checkpoints, the stream of random scenes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ..synthetic.render import stack
from ..synthetic.sample import sample_scene
from ..whole_file import whole_file
from .muon import MuonAdamW


class SceneStream(torch.utils.data.Dataset):
    """Batches of random training scenes as tensors for `render.draw`; batch i is the same on every machine and run.

    kinds: of `sample.KINDS`, each as likely as it is often named; none: the training mixture.
    """

    def __init__(
        self, seed: str, batches: int, batch: int, num_frames: int = 33, size: int = 128, kinds: Sequence[str] = ()
    ):  # fmt: skip
        self.seed, self.batches, self.batch, self.num_frames, self.size = seed, batches, batch, num_frames, size
        self.kinds = tuple(kinds)

    def __len__(self) -> int:
        return self.batches

    def scenes(self, index: int) -> list:
        rng = Random(f"{self.seed} {index}")
        kinds = [rng.choice(self.kinds) for _ in range(self.batch)] if self.kinds else [None] * self.batch
        return [sample_scene(rng, kind, self.num_frames, self.size, self.size) for kind in kinds]

    def __getitem__(self, index: int) -> tuple[dict[str, torch.Tensor], list[str]]:
        scenes = self.scenes(index)
        return stack(scenes), [scene.caption for scene in scenes]


def stream(data: SceneStream, start: int = 0):
    """Iterate over the batches from `start` on, made by background processes where there are cores for it."""
    workers = max(0, min(12, (os.cpu_count() or 1) - 3))
    rest = torch.utils.data.Subset(data, range(start, len(data)))
    return torch.utils.data.DataLoader(
        rest, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None
    )


def rate(step: int, steps: int, warm_up: int = 100, decay_from: float = 0.5) -> float:
    """Factor on the learning rate: linear warm-up, constant, linear decay to zero from `decay_from` of the run on."""
    return min(1.0, (step + 1) / warm_up, (steps - step) / (steps * (1 - decay_from)))


class Run:
    """A training in progress: parameters, optimiser, moving average, step, seconds; saved together and taken up again.

    The checkpoint is written beside itself and renamed, so an interrupted save leaves the previous one whole.
    """

    def __init__(self, module: torch.nn.Module, matrices: set[str], lr: float, path: Path, ema: float):
        self.parameters = dict(module.named_parameters())
        self.optimiser = MuonAdamW(self.parameters, matrices, lr)
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.path, self.ema, self.step, self.seconds = Path(path), ema, 0, 0.0
        if self.path.exists():
            self._load()
        self._began = time.time() - self.seconds

    @torch.no_grad()
    def update(self, scale: float) -> None:
        self.optimiser.step(scale)
        self.step += 1
        self.seconds = time.time() - self._began
        weight = 1 - min(self.ema, self.step / (self.step + 10))
        torch._foreach_lerp_(list(self.average.values()), list(self.parameters.values()), weight)

    @torch.no_grad()
    def use_average(self) -> None:
        """Put the moving average in the place of the parameters: what a finished run hands out."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.average[name])

    def keep(self, every: int, until: float) -> None:
        """Save a checkpoint at every so many steps; at time `until` save one and raise TimeoutError."""
        late = time.time() > until
        if late or self.step % every == 0:
            self.save()
        if late:
            raise TimeoutError("time is up; run the command again to go on")

    def save(self) -> None:
        tensors = {f"parameter.{name}": p.detach() for name, p in self.parameters.items()}
        tensors.update({f"average.{name}": p for name, p in self.average.items()})
        tensors.update({f"optimiser.{name}": p for name, p in self.optimiser.state().items()})
        metadata = {"step": str(self.step), "seconds": str(self.seconds)}
        with whole_file(self.path) as file:
            save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, file, metadata)

    @torch.no_grad()
    def _load(self) -> None:
        with safe_open(self.path, "pt") as file:
            for name, parameter in self.parameters.items():
                parameter.copy_(file.get_tensor(f"parameter.{name}"))
                self.average[name].copy_(file.get_tensor(f"average.{name}"))
            start = len("optimiser.")
            self.optimiser.load(
                {key[start:]: file.get_tensor(key) for key in file.keys() if key.startswith("optimiser.")}
            )
            metadata = file.metadata()
        self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
