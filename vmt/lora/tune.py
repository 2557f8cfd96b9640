"""The tuning loop: one stage after another, each training one branch while the others stay as they are.

It knows nothing of the host: it is told how to ask the model. Every lot is drawn from the seed, the stage and the step
alone, so a stopped run that goes on from its checkpoint ends with the weights of one that was never stopped; to the bit
on the CPU, nearly on CUDA, where the backward pass of attention adds in any order. Noise levels follow each other so
that any few steps cover their range evenly; drawn independently, they would make the loss that is minimised vary more
from step to step.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import StateError
from ..flow_matching import noised
from ..half_size import half_clean, half_level
from ..whole_file import whole_file
from .branches import BranchLora
from .losses import direction_loss, level_weights, sigma_levels
from .positions import AS_THEY_ARE, Positions, half_positions

HELD_OUT = 4  # draws of sample, noise and level that are never trained on
GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples, modulo 1, lie most evenly
WEIGHT_DECAY = 0.1
HISTORY = ("losses", "looks", "steps", "bests")  # of a run, kept in its checkpoint


@dataclass(frozen=True)
class Sample:
    """latent: (1,C,F,h,w) float32 in the model's scale. positions: of its tokens. caption: number of the text that the
    model is asked under. half: it has half the height and width, and is noised as much as a whole one at a level is."""

    latent: Tensor
    positions: Positions = AS_THEY_ARE
    caption: int = 0
    half: bool = False


def halved(sample: Sample, rope: str = "ends") -> Sample:
    """It at half the height and width. rope: see `half_positions`."""
    where = half_positions(sample.positions.scale_t, rope)
    return replace(sample, latent=half_clean(sample.latent), positions=where, half=True)


@dataclass(frozen=True)
class Stage:
    """branch: the one that is trained. samples: one is drawn each step. strengths: of the other branches meanwhile;
    those not named are 1. motion_weight: of `direction_loss` beside flow matching. level_weights: see there. sigma_end:
    noise levels below it are not drawn."""

    branch: str
    samples: tuple[Sample, ...]
    steps: int
    lr: float = 1e-4
    motion_weight: float = 0.0
    motion_loss: str = "signed"
    level_weights: str = "flat"
    sigma_end: float = 0.0
    strengths: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TuneConfig:
    """check_every: steps between two looks at the held-out draws. patience: looks without a lower loss after which a
    stage ends; 0: never. save_every: steps between two checkpoints."""

    seed: int = 0
    check_every: int = 25
    patience: int = 4
    save_every: int = 50


@dataclass(frozen=True)
class Progress:
    """After a step. step: within its stage, from 1. losses: of all steps of the run, also those before it was stopped
    and taken up again; for reading alone. held_out: the lowest loss of the stage on the draws never trained on, that of
    the weights it would end with; None before its first look."""

    stage: int
    step: int
    steps: int
    losses: list[float]
    held_out: float | None


Predict = Callable[[Tensor, float, Sample], Tensor]  # x (1,C,F,h,w), sigma, whose -> velocity, with a gradient


def tune(
    branches: dict[str, BranchLora], stages: list[Stage], predict: Predict, config: TuneConfig,
    checkpoint: Path | None = None, report: Callable[[Progress], None] = lambda _: None, key: str = "",
    attempt: Callable[[Callable[[], float]], float] = lambda step: step(),
) -> dict[str, list[float]]:  # fmt: skip
    """Train the branches in place; each ends with the weights of its lowest held-out loss.

    Args:
        predict: the model with the branches in it.
        checkpoint: file to go on from, and to go on to; it is removed by no one. A file of another `key` is not used.
            One that cannot be written is told in the log, and tuning goes on; one that cannot be read likewise, and it
            starts anew.
        report: called after every step. An exception out of it, or out of `predict`, goes on after one more checkpoint.
        key: names all that the run depends on.
        attempt: called with the forward and backward pass of a step, a function that gives its loss; it may call that
            again if memory runs out, and change the gradients after it.
    Returns:
        "loss": of every step; "held_out": of every look; "steps", "best": of every stage, how many it took and the
        held-out loss of the weights that it ended with.
    Raises:
        StateError: a loss or a gradient is NaN or infinite, or no gradient reaches a part of a branch.
    """
    run = _Run(branches, config, checkpoint, key)
    run.load()
    for number, stage in enumerate(stages):
        if number < run.stage:
            continue
        if number > run.stage or run.optimiser is None:
            run.begin(number, stage)
        _set_active(branches, stage)
        try:
            _train_stage(run, number, stage, predict, report, attempt)
        except BaseException:  # also an interrupt: what was learned is kept
            run.save()
            raise
        run.finish()
    return {"loss": run.losses, "held_out": run.looks, "steps": run.steps, "best": run.bests}


def _set_active(branches: dict[str, BranchLora], stage: Stage) -> None:
    for name, branch in branches.items():
        branch.requires_grad_(name == stage.branch)
        branch.strength = 1.0 if name == stage.branch else stage.strengths.get(name, 1.0)


def _train_stage(
    run: _Run, number: int, stage: Stage, predict: Predict, report: Callable, attempt: Callable
) -> None:  # fmt: skip
    config, parameters = run.config, list(run.branches[stage.branch].parameters())

    def forward_backward() -> float:
        run.optimiser.zero_grad(set_to_none=True)
        generator = torch.Generator().manual_seed(hash_of(config.seed, number, run.step))
        loss = _loss(stage, predict, level_share(config.seed, number, run.step), generator)
        loss.backward(inputs=parameters)  # and to no weight of the model
        return loss.item()

    def look_if_due() -> None:
        due = run.step and (run.step % config.check_every == 0 or run.step == stage.steps)
        if due and run.looked_at != run.step:
            run.look(attempt(lambda: held_out_loss(stage, predict, config, number)))

    look_if_due()  # a run may have been stopped between a step and the look after it
    while run.step < stage.steps and not run.stopped:
        loss = attempt(forward_backward)
        missed = sum(p.grad is None for p in parameters)
        if missed:
            raise StateError(
                f"The gradient of step {run.step + 1} does not reach {missed} of {len(parameters)} matrices of the "
                "LoRA; tuning needs one through every layer, and some run on kernels without. Load the model in fp16, "
                "bf16, fp32 or plain fp8, start the host without --fast, and take caching nodes off the MODEL line."
            )
        if not (math.isfinite(loss) and all(torch.isfinite(p.grad).all() for p in parameters)):
            failed = run.step + 1
            same = "go on from the best weights so far, without this step" if run.go_back() else "fail here again"
            raise StateError(
                f"The loss of step {failed} is {loss} or its gradient is not finite; tuning needs finite ones. "
                f"Lower the learning rate, now {stage.lr:g}, or run the model in bf16 or fp32: either starts anew. The "
                f"same settings {same}."
            )
        run.update(loss)
        look_if_due()
        if run.step % config.save_every == 0:
            run.save()
        report(Progress(number, run.step, stage.steps, run.losses, run.best_loss if run.looked_at else None))


def hash_of(seed: int, stage: int, step: int) -> int:
    """A generator's seed; steps of one run, and runs of neighbouring seeds, share none."""
    return (seed * 1_000_003 + stage) * 1_000_003 + step & (1 << 62) - 1


def level_share(seed: int, stage: int, step: int) -> float:
    """Which part of the noise levels a step is at, 0 to 1 without 1, from a start that the seed and the stage give.

    Of any n steps in a row n/8, or two more or less, fall in each eighth of the levels.
    """
    lots = torch.Generator().manual_seed(hash_of(seed, stage, -1 - HELD_OUT))
    return (torch.rand((), generator=lots, dtype=torch.float64).item() + step * GOLDEN) % 1


def _loss(stage: Stage, predict: Predict, share: float, generator: torch.Generator) -> Tensor:
    sample = stage.samples[int(torch.randint(len(stage.samples), (), generator=generator))]
    sigmas = sigma_levels(stage.sigma_end)
    index = int(share * len(sigmas))
    weights = level_weights(sigmas, stage.level_weights)
    return _loss_at(stage, predict, sample, sigmas[index].item(), weights[index].item(), generator)


def _loss_at(
    stage: Stage, predict: Predict, sample: Sample, sigma: float, weight: float, generator: torch.Generator
) -> Tensor:
    clean, sigma = sample.latent, half_level(sigma) if sample.half else sigma
    noise = torch.randn(clean.shape, generator=generator).to(clean)
    target = noise - clean
    said = predict(noised(clean, noise, sigma), sigma, sample).float()
    loss = (said - target).square().mean()
    if stage.motion_weight:
        loss = loss + stage.motion_weight * direction_loss(said, target, stage.motion_loss)
    return weight * loss


@torch.no_grad()
def held_out_loss(stage: Stage, predict: Predict, config: TuneConfig, number: int) -> float:
    """Mean loss over the same few draws each time, at levels that cover the range."""
    sigmas = sigma_levels(stage.sigma_end)
    weights, total = level_weights(sigmas, stage.level_weights), 0.0
    for draw in range(HELD_OUT):
        generator = torch.Generator().manual_seed(hash_of(config.seed, number, -1 - draw))
        index = (2 * draw + 1) * len(sigmas) // (2 * HELD_OUT)
        sample = stage.samples[draw % len(stage.samples)]
        loss = _loss_at(stage, predict, sample, sigmas[index].item(), weights[index].item(), generator)
        total += loss.item() / HELD_OUT
    return total


class _Run:
    """What a run has come to; saved together and taken up again."""

    def __init__(self, branches: dict[str, BranchLora], config: TuneConfig, path: Path | None, key: str):
        self.branches, self.config, self.path, self.key = branches, config, path, key
        self.stage, self.step, self.unimproved, self.looked_at, self.best_loss = 0, 0, 0, 0, math.inf
        self.losses: list[float] = []
        self.looks: list[float] = []
        self.steps: list[float] = []  # of the stages that are done, as `bests`
        self.bests: list[float] = []
        self.best: dict[str, Tensor] = {}
        self.optimiser: torch.optim.AdamW | None = None
        self.branch = ""

    @property
    def stopped(self) -> bool:
        return 0 < self.config.patience <= self.unimproved

    def begin(self, number: int, stage: Stage) -> None:
        self.stage, self.step, self.unimproved, self.looked_at = number, 0, 0, 0
        self.best_loss, self.best = math.inf, {}
        self._optimise(stage.branch, stage.lr)

    def _optimise(self, branch: str, lr: float) -> None:
        self.branch = branch
        self.optimiser = torch.optim.AdamW(self.branches[branch].parameters(), lr=lr, weight_decay=WEIGHT_DECAY)

    def update(self, loss: float) -> None:
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.losses.append(loss)

    def look(self, loss: float) -> None:
        self.looks.append(loss)
        self.looked_at = self.step
        if loss < self.best_loss:
            self.best_loss, self.unimproved = loss, 0
            self.best = {n: p.detach().clone() for n, p in self.branches[self.branch].named_parameters()}
        else:
            self.unimproved += 1

    @torch.no_grad()
    def _take_best(self) -> None:
        for name, parameter in self.branches[self.branch].named_parameters():
            if name in self.best:
                parameter.copy_(self.best[name])

    def go_back(self) -> bool:
        """To the best weights of the stage, past the step that failed; False if there are none, and nothing changes."""
        if not self.best:
            return False
        self._take_best()
        self._optimise(self.branch, self.optimiser.param_groups[0]["lr"])
        self.step += 1
        return True

    def finish(self) -> None:
        self._take_best()
        self.steps.append(self.step)
        self.bests.append(self.best_loss)
        self.stage, self.step, self.optimiser = self.stage + 1, 0, None
        self.save()

    def save(self) -> None:
        if self.path is None:
            return
        tensors = {f"{b}.{n}": p.detach() for b, module in self.branches.items() for n, p in module.named_parameters()}
        tensors |= {f"best.{name}": p for name, p in self.best.items()}
        tensors |= {name: torch.tensor(getattr(self, name), dtype=torch.float64) for name in HISTORY}
        more = {
            "key": self.key, "stage": str(self.stage), "step": str(self.step), "unimproved": str(self.unimproved),
            "best_loss": repr(self.best_loss), "branch": self.branch, "looked_at": str(self.looked_at),
        }  # fmt: skip
        if self.optimiser:
            group = self.optimiser.param_groups[0]
            more["lr"] = repr(group["lr"])
            for (name, _), state in zip(
                self.branches[self.branch].named_parameters(), map(self.optimiser.state.get, group["params"]),
                strict=True,
            ):  # fmt: skip
                tensors |= {f"optimiser.{what}.{name}": value for what, value in (state or {}).items()}
        try:
            with whole_file(self.path) as file:
                # Not by save_file: it raises no OSError for a full disk, and killed it leaves files of random names.
                file.write_bytes(save({name: t.contiguous().cpu().clone() for name, t in tensors.items()}, more))
        except OSError as error:
            logging.warning(f"[VMT] The checkpoint {self.path.name} cannot be written ({error}); tuning goes on.")

    @torch.no_grad()
    def load(self) -> None:
        """Go on from the checkpoint, if it is of this run and whole; nothing is changed before all of it is read."""
        if self.path is None or not self.path.exists():
            return
        try:
            with safe_open(self.path, "pt") as file:
                held, tensors = file.metadata() or {}, {name: file.get_tensor(name).clone() for name in file.keys()}
            if held["key"] != self.key:
                return
            weights = [
                (parameter, tensors[f"{branch}.{name}"])
                for branch, module in self.branches.items()
                for name, parameter in module.named_parameters()
            ]
            numbers = [int(held[name]) for name in ("stage", "step", "unimproved", "looked_at")]
            best_loss, branch = float(held["best_loss"]), held["branch"]
            history = {name: tensors[name].tolist() for name in HISTORY}
        except (SafetensorError, OSError, KeyError) as error:
            logging.warning(f"[VMT] The checkpoint {self.path.name} cannot be read ({error}); tuning starts anew.")
            return
        for parameter, value in weights:
            parameter.copy_(value)
        self.stage, self.step, self.unimproved, self.looked_at = numbers
        self.best_loss, self.branch = best_loss, branch
        for name, values in history.items():
            setattr(self, name, values)
        if "lr" not in held:
            return
        self._optimise(self.branch, float(held["lr"]))
        for name, parameter in self.branches[self.branch].named_parameters():
            if f"best.{name}" in tensors:
                self.best[name] = tensors[f"best.{name}"].to(parameter.device)
            start = "optimiser."
            state = {
                key[len(start) : -len(name) - 1]: value
                for key, value in tensors.items()
                if key.startswith(start) and key.endswith(f".{name}")
            }
            if state:
                self.optimiser.state[parameter] = {
                    what: value if what == "step" else value.to(parameter.device) for what, value in state.items()
                }
