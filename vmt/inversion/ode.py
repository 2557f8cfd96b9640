"""Following the model's own flow from a clean latent to noise, or back."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import InputError, StateError
from ..flow_matching import shifted_sigmas, unshift_sigma


def inversion_sigmas(steps: int, sigma_end: float, shift: float = 1.0) -> Tensor:
    """steps + 1 ascending noise levels from 0 to sigma_end, spaced as a sampler with this shift spaces them."""
    return shifted_sigmas(steps, shift, start=0.0, end=unshift_sigma(sigma_end, shift))


@torch.no_grad()
def integrate(
    x: Tensor, velocity_fn: Callable[[Tensor, float], Tensor], sigmas: Sequence[float] | Tensor,
    callback: Callable[[dict], None] | None = None,
) -> Tensor:  # fmt: skip
    """Solve dx/dsigma = velocity(x, sigma) along `sigmas`, rising or falling, by Euler's method.

    Rising from 0, e.g. along `inversion_sigmas(50, .96, shift)`, it gives the noisy latent from which the model's flow
    leads to the clean one: DDIM inversion, arXiv 2105.05233 appendix, for flow matching a reversed Euler step.

    Args:
        x: latent at sigmas[0], any shape; kept in float32 (float64 stays) between the steps.
        velocity_fn: (x, sigma) -> velocity, same shape; sigma as a float.
        sigmas: noise levels, at least two, strictly rising or strictly falling, within 0..1.
        callback: called after each step with {"i", "num_steps", "sigma", "x"}; may raise to stop.
    Returns:
        latent at sigmas[-1], float32 (float64 for float64 input).
    Raises:
        InputError: sigmas not allowed.
        StateError: the model returned NaN or infinity.
    """
    sigmas = [float(sigma) for sigma in sigmas]
    steps = list(pairwise(sigmas))
    monotone = all(a < b for a, b in steps) or all(a > b for a, b in steps)
    if not steps or not monotone or min(sigmas) < 0 or max(sigmas) > 1:
        raise InputError(
            f"Noise levels {_short(sigmas)} were given; at least two, strictly rising or falling within 0..1, are "
            "allowed. Change the number of steps or the end of the schedule."
        )
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    for i, (sigma, to_sigma) in enumerate(steps):
        velocity = velocity_fn(x, sigma).to(x)
        x = x + (to_sigma - sigma) * velocity
        if not torch.isfinite(x).all():
            raise StateError(
                f"The model returned NaN or infinite values at noise level {sigma:.3f}; only finite ones can be "
                "followed. Check the reference latent (decode it), or run the model in bf16 or fp32 instead of fp16."
            )
        if callback is not None:
            callback({"i": i, "num_steps": len(steps), "sigma": to_sigma, "x": x})
    return x


def _short(sigmas) -> str:
    shown = ", ".join(f"{float(sigma):.3f}" for sigma in sigmas[:6])
    return f"[{shown}{', ...' if len(sigmas) > 6 else ''}]"
