"""Noise masks: a part of the video that is given and stays. The model is shown it as the host's own samplers show it.

Most models see it at the noise level of the rest; Wan 2.2 5B sees it clean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...vmt.half_size import half_clean, half_latent


def mask_of_step(model, sigma: Tensor, extra_args: dict) -> Tensor | None:
    """1 where the video is made anew at noise level sigma (one for all), 0 where the sampler keeps what is there."""
    mask = extra_args.get("denoise_mask")
    change = extra_args["model_options"].get("denoise_mask_function")
    if mask is not None and change is not None:
        sigmas = sigma * mask.new_ones(len(mask))
        mask = change(sigmas, mask, extra_options={"model": model.inner_model, "sigmas": model.sigmas})
    return None if mask is None else mask.clone()


def free_share(mask: Tensor | None) -> Tensor | float:
    """RMS of each video's mask, (B,1,...,1): how much of the length of a whole video's update its free part has."""
    return 1.0 if mask is None else mask.square().mean(tuple(range(1, mask.ndim)), keepdim=True).sqrt()


def beside_known(model, latent: Tensor, sigmas: Tensor, mask: Tensor | None) -> Tensor:
    """The latent (B,C,F,h,w) where the mask is 1, the given video at the noise levels sigmas (B,) where it is 0.

    model: the host's KSamplerX0Inpaint.
    """
    if mask is None:
        return latent
    return latent * mask + _known(model, latent, sigmas, model.noise, model.latent_image) * (1 - mask)


def half_beside_known(model, latent: Tensor, sigmas: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """`beside_known` at half size, see `half_latent`, and its noise levels.

    The two do not commute where a model sees the given video at another noise level than the rest: a cell that keeps
    all it is made of is taken from the given video at half size.
    """
    seen, levels = half_latent(beside_known(model, latent, sigmas, mask), sigmas)
    if mask is None:
        return seen, levels
    # Noise at half size: the mean of four has half the deviation.
    known = _known(model, seen, levels, 2 * half_clean(model.noise), half_clean(model.latent_image))
    return torch.where(half_clean(mask) > 0, seen, known), levels


def _known(model, latent: Tensor, sigmas: Tensor, noise: Tensor, given: Tensor) -> Tensor:
    host_model = model.inner_model.inner_model
    return host_model.scale_latent_inpaint(x=latent.detach(), sigma=sigmas, noise=noise, latent_image=given)
