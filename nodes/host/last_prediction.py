"""What the sampler's last call of the model predicted for the positive prompt, kept for guidance to look ahead by."""

from comfy.model_patcher import create_model_options_clone, set_model_options_post_cfg_function
from torch import Tensor


class LastPrediction:
    """velocity (B, C, F, h, w), noise - clean, of the last call; None before the first."""

    velocity: Tensor | None = None

    def kept_in(self, extra_args: dict) -> dict:
        """The sampler's `extra_args` with this looking on; they are not changed themselves."""
        options = create_model_options_clone(extra_args["model_options"])
        options = set_model_options_post_cfg_function(options, self._look)
        return {**extra_args, "model_options": options}

    def _look(self, args: dict) -> Tensor:
        level = args["sigma"].reshape(-1, *[1] * (args["input"].ndim - 1))
        self.velocity = (args["input"] - args["cond_denoised"]) / level
        return args["denoised"]
