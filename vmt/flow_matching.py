"""Flow matching: how noise, clean latent and the model's velocity belong together.

x = (1 - sigma) * clean + sigma * noise, velocity = noise - clean, sigma in [0, 1].
Source: rectified flow, arXiv 2209.03003; resolution shift of the schedule, arXiv 2403.03206, section 5.3.2.
"""

import torch
from torch import Tensor

from .errors import InputError


def noised(clean: Tensor, noise: Tensor, sigma: float | Tensor) -> Tensor:
    """`clean` at noise level sigma. sigma: number, or (B,) for one level per sample."""
    sigma = _per_sample(sigma, clean)
    return (1 - sigma) * clean + sigma * noise


def velocity_from_clean(x: Tensor, clean: Tensor, sigma: float | Tensor) -> Tensor:
    """Velocity that leads from x at noise level sigma, above 0, to a clean latent: (x - clean) / sigma."""
    return (x - clean) / _per_sample(sigma, x)


def shift_sigma(sigma: float | Tensor, shift: float) -> float | Tensor:
    """sigma of a linear schedule moved towards noise: shift * s / (1 + (shift - 1) * s)."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def shifted_sigmas(steps: int, shift: float, start: float = 1.0, end: float = 0.0) -> Tensor:
    """steps + 1 noise levels float32, linear from `start` to `end` before the shift; ascending if start < end.

    Raises:
        InputError: steps below 1, shift not above 0, or start and end outside 0..1 or equal.
    """
    if steps < 1 or not shift > 0 or not (0 <= start <= 1 and 0 <= end <= 1) or start == end:
        raise InputError(
            f"A schedule of {steps} steps with shift {shift} from {start} to {end} was asked for; steps of 1 or more, "
            "a shift above 0, and two different ends within 0..1 are allowed. Change the one that is not."
        )
    linear = torch.linspace(start, end, steps + 1, dtype=torch.float64)
    return shift_sigma(linear, shift).float()


def unshift_sigma(sigma: float | Tensor, shift: float) -> float | Tensor:
    """Inverse of `shift_sigma`."""
    return sigma / (shift - (shift - 1) * sigma)


def seeded_noise(shape, seed: int) -> Tensor:
    """Standard normal noise float32 on the CPU, so that one seed gives one noise on every device."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32, device="cpu")


def _per_sample(sigma: float | Tensor, x: Tensor) -> float | Tensor:
    if isinstance(sigma, Tensor) and sigma.ndim == 1:
        return sigma.to(x.device).reshape(-1, *[1] * (x.ndim - 1))
    return sigma
