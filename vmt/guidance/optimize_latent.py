"""One guided step: move the noisy latent so that its loss falls."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import StateError
from .config import GuidanceConfig
from .gradient_skip import GradientSkip
from .rms import rms
from .smoothing import smooth


def optimize_latent(
    x: Tensor, loss_fn: Callable[[Tensor], Tensor], config: GuidanceConfig, skip_state: GradientSkip | None = None,
    callback: Callable[[dict], None] | None = None, free: Tensor | float = 1.0,
) -> Tensor:  # fmt: skip
    """`config.inner_steps` updates of a noisy latent against the gradient of a loss.

    "rms":  x <- x - step * free * g / RMS(g), per sample
    "adam": x <- x - step * m / (sqrt(v) + eps), fresh moments each guided step
    "sign": x <- x - step * sign(g)

    g is the gradient of the loss, blurred by `config.smoothing`. Latent, gradient and moments are float32: at bfloat16
    a step of .003 is below half the spacing of numbers above 1, and most of the latent would never move.

    Args:
        x: (B, ..., h, w) noisy latent, any float type.
        loss_fn: (float32 latent that requires grad) -> (B,) loss >= 0, one per sample, depending on it alone.
        skip_state: which iterations reuse a gradient; None = by config.recompute_every.
        callback: called before each update with {"i", "inner_steps", "loss", "gradient_rms", "recomputed", "x"} (loss
            and gradient_rms (B,), detached). May raise to stop; `x` is never changed in place.
        free: (B, 1, ..., 1) or one for all: of a video part of which is held, the share of the length of a whole one's
            update. RMS(g) counts what is held as zeros; with it steps keep their size where the video can move.
    Returns:
        latent, dtype of x; x itself if strength or inner_steps is 0. A sample whose loss is at or below
        config.loss_floor, or whose gradient is zero, does not move: a normalised step would only amplify rounding.
    Raises:
        StateError: loss or gradient is NaN or infinite, or the loss does not depend on the latent.
    Source: DiTFlow, arXiv 2412.07776, section 4.3 (Adam on the latent); FastVMT, arXiv 2602.05551 (reused gradients);
        "rms", "sign" and the blur are ours.
    """
    if config.is_off:
        return x
    skip = skip_state or GradientSkip(config.recompute_every)
    moments = None
    with torch.inference_mode(False):  # tensors made in inference mode can never carry a gradient
        latent = x.detach().to(torch.float32, copy=True)
        for j in range(config.inner_steps):
            recomputed = skip.is_due(j)
            if recomputed:
                loss, gradient = _loss_and_gradient(latent, loss_fn)
                skip.hold(loss, smooth(gradient, config.smoothing))
            loss, gradient = skip.held()
            size = rms(gradient)
            if callback is not None:
                callback({"i": j, "inner_steps": config.inner_steps, "loss": loss, "gradient_rms": size.flatten(),
                          "recomputed": recomputed, "x": latent})  # fmt: skip
            if config.update == "adam":
                # Adam's eps is absolute, the gradient's scale is arbitrary: measure it in units of the first one.
                moments = moments or Moments(size)
                direction = moments.step(gradient)
            elif config.update == "sign":
                direction = gradient.sign()
            else:
                direction = gradient / size.clamp(min=torch.finfo(torch.float32).tiny) * free
            moves = (loss > config.loss_floor).reshape(size.shape)
            latent = torch.where(moves, latent - config.step_size(j) * direction, latent)
        return latent.to(x.dtype)


def _loss_and_gradient(latent: Tensor, loss_fn: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    leaf = latent.detach().requires_grad_()
    with torch.enable_grad():  # the caller may sample under no_grad
        loss = loss_fn(leaf)
        gradient = torch.autograd.grad(loss.sum(), leaf, allow_unused=True)[0] if loss.requires_grad else None
    if gradient is None:
        raise StateError(
            "The guidance loss does not depend on the latent; a gradient is needed to guide. Another node may have cut "
            "it: take attention, caching and compile nodes off the MODEL line."
        )
    if not (torch.isfinite(loss).all() and torch.isfinite(gradient).all()):
        losses = ", ".join(f"{value:.3g}" for value in loss.tolist())
        raise StateError(
            f"NaN or infinite values appeared in guidance (loss {losses}); only finite ones can guide. Check the "
            "latent that enters, lower the strength, or run the model in bf16 or fp32 instead of fp16."
        )
    return loss.detach(), gradient.float()


class Moments:
    """Adam's two running moments, without weight decay: arXiv 1412.6980, algorithm 1."""

    beta1, beta2, eps = 0.9, 0.999, 1e-8

    def __init__(self, unit: Tensor):
        self.unit = torch.where(unit > 0, unit, 1)
        self.first = self.second = torch.zeros(())
        self.num_steps = 0

    def step(self, gradient: Tensor) -> Tensor:
        """Direction of about unit size for the next gradient."""
        gradient = gradient / self.unit
        self.num_steps += 1
        self.first = self.beta1 * self.first + (1 - self.beta1) * gradient
        self.second = self.beta2 * self.second + (1 - self.beta2) * gradient.square()
        first = self.first / (1 - self.beta1**self.num_steps)
        second = self.second / (1 - self.beta2**self.num_steps)
        return first / (second.sqrt() + self.eps)
