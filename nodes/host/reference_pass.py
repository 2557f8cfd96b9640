"""Looking at a reference clip through the model: q and k of chosen blocks, and the noisy latent they were taken at."""

from dataclasses import dataclass, replace

import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ...vmt.flow_matching import seeded_noise, velocity_from_clean
from ...vmt.half_size import half_clean, half_grid, half_latent
from ...vmt.inversion.ode import integrate, inversion_sigmas
from ...vmt.token_grid import TokenGrid
from .capture import Tap, capture_queries_keys
from .half_prompts import half_prompts
from .without_guidance import without_guidance

MODES = ("noised_reference", "ode_inversion")


@dataclass
class Look:
    """What the model sees of the reference at one size; tensors on the CPU."""

    grid: TokenGrid
    sigma: float  # noise level
    queries: dict[int, Tensor]  # block -> (1, N, heads, D)
    keys: dict[int, Tensor]
    clean: Tensor  # (1, C, F, h, w) in model space, float32


def look_at_reference(
    patcher, latent: Tensor, positive: list, sigma: float, tap: Tap, mode: str, steps: int, seed: int
) -> tuple[Look, Look | None, Tensor]:
    """Bring the reference to noise level sigma and capture q and k there, and at half size (see `half_size`).

    The host's own sampling is used, with a sampler of ours: it loads the model with its LoRAs, prepares prompts,
    converts latents both ways and cleans up. "noised_reference" needs one pass up to the last tapped block;
    "ode_inversion" adds one full pass per step.

    Args:
        latent: (1, C, F, h, w) as a VAE node gives it.
        positive: a node's CONDITIONING.
    Returns:
        the look at the clip; the one at half size, None where the frame is too small for it; and the noised clip
        (1, C, F, h, w), as a LATENT that a sampler resumes from at this noise level without new noise.
    """
    looks, half = [], half_grid(tap.grid)

    def look(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
        guider = model.inner_model
        ones = x.new_ones(x.shape[0])

        def velocity(x, sigma):
            # At 0 the velocity cannot be told from the clean latent; the model was trained from its lowest level on.
            level = max(sigma, float(guider.inner_model.model_sampling.sigma_min))
            return velocity_from_clean(x, model(x, level * ones, **extra_args), level)

        def stepped(info):
            comfy.model_management.throw_exception_if_processing_interrupted()  # newer hosts look seldom by themselves
            progress.update(1)

        if mode == "ode_inversion" and sigma > 0:
            shift = getattr(guider.inner_model.model_sampling, "shift", 1.0)
            levels = inversion_sigmas(steps, sigma, shift)
            x = integrate(x, velocity, levels, callback=stepped)

        options = extra_args["model_options"]

        def take(x, level, clean, prompts, tap):
            found = capture_queries_keys(guider.inner_model, prompts, x, level * ones, options, tap)
            queries, keys = map(_stored, found)
            looks.append(Look(tap.grid, float(level), queries, keys, clean.float().cpu()))

        prompts, clean = guider.conds["positive"], model.latent_image
        take(x, sigma, clean, prompts, tap)
        if half:
            x_half, level = half_latent(x, torch.tensor(sigma))
            take(x_half, level, half_clean(clean), half_prompts(prompts, x), replace(tap, grid=half))
        progress.update(1)
        return x

    progress = comfy.utils.ProgressBar(steps + 1 if mode == "ode_inversion" else 1)
    guider = comfy.samplers.CFGGuider(without_guidance(patcher))
    guider.inner_set_conds({"positive": positive})
    guider.set_cfg(1.0)
    # The host noises to the first level and, at the last, scales back what its next sampler will scale again.
    levels = [0.0, sigma] if mode == "ode_inversion" else [sigma]
    inverted = guider.sample(
        seeded_noise(latent.shape, seed).to(latent.dtype), latent, comfy.samplers.KSAMPLER(look),
        torch.tensor(levels), disable_pbar=True, seed=seed,
    )  # fmt: skip
    return looks[0], looks[1] if half else None, inverted.to(comfy.model_management.intermediate_device())


def _stored(tensors: dict[int, Tensor]) -> dict[int, Tensor]:
    """On the CPU; in half precision when that loses nothing that matters, to keep a long clip below a gigabyte."""
    large = sum(t.numel() for t in tensors.values()) > 2**27
    return {block: t.to("cpu", torch.float16 if large else torch.float32) for block, t in tensors.items()}
