"""What the sampler's last call of the model predicted, kept for guidance to look ahead by."""

from comfy.model_patcher import create_model_options_clone, set_model_options_post_cfg_function
from torch import Tensor


class LastPrediction:
    """Of the sampler's last call: the clean clips that were predicted, and at which noise level."""

    def __init__(self):
        self._prompt: Tensor | None = None  # (B, C, F, h, w) by the positive prompt alone
        self._guided: Tensor | None = None  # by both prompts, as the sampler steps towards it
        self._level: Tensor | None = None  # (B, 1, 1, 1, 1)

    def kept_in(self, extra_args: dict) -> dict:
        """The sampler's `extra_args` with this looking on; they are not changed themselves."""
        options = create_model_options_clone(extra_args["model_options"])
        options = set_model_options_post_cfg_function(options, self._look)
        return {**extra_args, "model_options": options}

    def clean_at(self, sigma: Tensor) -> Tensor | None:
        """The clean clip that the latent at the next noise level sigma shows; None before the first call.

        It is the positive prompt's, gone as far towards the guided one as an Euler step to sigma takes it. Noise has no
        part in it, so it also holds for samplers that put new noise in the place of the old at every step.
        """
        if self._level is None:
            return None
        return self._prompt + (1 - sigma / self._level) * (self._guided - self._prompt)

    def _look(self, args: dict) -> Tensor:
        self._level = args["sigma"].reshape(-1, *[1] * (args["input"].ndim - 1))
        self._prompt, self._guided = args["cond_denoised"], args["denoised"]
        return args["denoised"]
