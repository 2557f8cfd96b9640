"""What a block attends to, taken from a reference: its keys and values in the place of the video's own.

Only the first block, whose keys and values follow from the noised reference without a pass through the model. Source:
DiTFlow, arXiv 2412.07776, section 4.4.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import comfy.ldm.common_dit
import torch
from comfy.model_patcher import create_model_options_clone, set_model_options_patch_replace
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...vmt.flow_matching import seeded_noise
from ...vmt.token_grid import TokenGrid
from .capture import Captured, check_form, plain_block
from .guided_sampling import normal_tensor
from .input_check import check_grid
from .model_check import WanSizes
from .self_attention import with_self_attention

KEY = "vmt_key_value_injection"
BLOCK = 0


def attach_key_values(patcher, clean: Tensor, sigma_end: float, grid: TokenGrid, wan: WanSizes):
    """A clone of the model whose first block attends to the reference down to noise level `sigma_end`.

    Passes at another size, such as guidance at half size, are left as they are.

    Args:
        clean: (1, C, F, h, w), in model space.
    """
    injection = KeyValueInjection(normal_tensor(clean), sigma_end, grid, wan)
    patched = patcher.clone()
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, injection.check_and_sample)
    patched.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, injection.sample)
    return patched


@dataclass(frozen=True)
class KeyValueInjection:
    """See `attach_key_values`. Holds no state of a run."""

    clean: Tensor
    sigma_end: float
    grid: TokenGrid
    wan: WanSizes

    def check_and_sample(self, executor, noise, latent_image, *args, **kwargs):
        """OUTER_SAMPLE: refuse before anything is loaded."""
        check_grid(self.grid, latent_image, self.wan, "reference has", "Encode")
        return executor(noise, latent_image, *args, **kwargs)

    def sample(self, executor, guider, sigmas, extra_args, callback, noise, *args, **kwargs):
        """SAMPLER_SAMPLE: the reference is noised by the run's own noise, so both are in the same noise.

        A run that goes on from a noisy latent adds none; its reference gets noise of its seed.
        """
        own = noise if noise.any() else seeded_noise(noise.shape, extra_args.get("seed") or 0).to(noise)
        options = create_model_options_clone(extra_args["model_options"])
        dit = options.get("transformer_options", {}).get("patches_replace", {}).get("dit", {})
        passes = {True: 0, False: 0}
        patch = self._patch(guider.inner_model, normal_tensor(own), dit.get(("double_block", BLOCK)), passes)
        options = set_model_options_patch_replace(options, patch, "dit", "double_block", BLOCK)
        extra_args = {**extra_args, "model_options": options}
        result = executor(guider, sigmas, extra_args, callback, noise, *args, **kwargs)
        if passes[False] and not passes[True]:
            logging.warning(
                "[VMT] Key Value Injection changed nothing: the model was never shown a video of the reference's "
                f"{self.grid} tokens. Take off what cuts the video in pieces, such as context windows, or adds to it."
            )
        return result

    def _patch(self, model, noise: Tensor, before, passes: dict[bool, int]):
        """passes: counts those within the range of noise levels, by whether the video has the reference's tokens."""
        run = before or plain_block

        def replace(args, extra):
            to, video = args["transformer_options"], args["img"]
            sigma = to["sigmas"].flatten()[0]
            if float(sigma) < self.sigma_end - 1e-6:
                return run(args, extra)
            fits = video.shape[1] == self.grid.num_tokens
            passes[fits] += 1
            if not fits:
                return run(args, extra)
            key, value = self._key_value(model, noise, sigma, args, extra)

            def attend_to_reference(attend, q, k, v, heads, *rest, **kwargs):
                return attend(q, key, value, heads, *rest, **kwargs)

            return with_self_attention(run, args, extra, attend_to_reference)

        return replace

    @torch.no_grad()
    def _key_value(self, model, noise: Tensor, sigma: Tensor, args: dict, extra: dict) -> tuple[Tensor, Tensor]:
        """(B, N, heads*D) each: what the block makes of the reference in each video's noise, up to its attention."""
        video, dit = args["img"], model.diffusion_model
        clean, noise = (tensor.to(video.device, torch.float32) for tensor in (self.clean, noise))
        noised = model.model_sampling.noise_scaling(sigma.to(video.device, torch.float32), noise, clean)
        noised = noised.repeat(len(video) // len(noise), 1, 1, 1, 1)  # the prompts of a step, one after the other
        noised = comfy.ldm.common_dit.pad_to_patch_size(noised, dit.patch_size)
        tokens = dit.patch_embedding(noised).to(video.dtype).flatten(2).transpose(1, 2)
        found = []

        def take(attend, q, k, v, *rest, **kwargs):
            check_form(q, kwargs)
            found.extend((k, v))
            raise Captured

        try:
            with_self_attention(plain_block, {**args, "img": tokens}, extra, take)
        except Captured:
            pass
        return tuple(found)
