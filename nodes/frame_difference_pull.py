"""Frame Difference Pull: motion from a reference without gradients, at no cost."""

import torch
from comfy_api.latest import io

from ..vmt.errors import InputError
from ..vmt.guidance.frame_difference_pull import difference_filter, pull_frame_differences
from .host.input_check import check_reference
from .host.model_check import check_wan
from .noise_level import noise_level


class FrameDifferencePull(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_FrameDifferencePull",
            display_name="Frame Difference Pull",
            category="VMT",
            description="Makes a Wan model repeat the frame-to-frame changes of a reference. Adds no pass through "
            "it, but copies more of the reference's look and place than Motion Guidance.",
            inputs=[
                io.Model.Input("model", tooltip="A Wan model."),
                io.Latent.Input("reference", tooltip="The reference clip, from VAE Encode."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of the way to the reference's changes at each step. 0: off.",
                ),
                io.Float.Input(
                    "softness",
                    default=0.02,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="Higher leaves slow changes to the prompt, and pulls fast ones alone.",
                ),
                noise_level("sigma_start", 1.0, "Pull from this noise level on."),
                noise_level(
                    "sigma_end",
                    0.7,
                    "Pull down to this noise level. Lower binds more tightly, and copies more of the look.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, reference, strength, softness, sigma_start, sigma_end) -> io.NodeOutput:
        patched = model.clone()
        if sigma_end > sigma_start:
            raise InputError(
                f"sigma_start is {sigma_start} and sigma_end is {sigma_end}; noise falls while sampling, so "
                "sigma_start must not be below sigma_end. Exchange the two values."
            )
        if strength == 0:
            return io.NodeOutput(patched)
        latent = reference["samples"]
        check_reference(latent, check_wan(model))
        difference_filter(latent.shape[2], softness)
        clean = model.model.process_latent_in(latent).float().cpu()

        def pull(args: dict) -> torch.Tensor:
            if not sigma_end - 1e-6 <= float(args["sigma"].flatten()[0]) <= sigma_start + 1e-6:
                return args["denoised"]
            return pull_frame_differences(args["denoised"], clean, strength, softness)

        patched.set_model_sampler_post_cfg_function(pull)
        return io.NodeOutput(patched)
