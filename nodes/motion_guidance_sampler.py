"""Motion Guidance Sampler: KSampler with motion guidance in it."""

import comfy.samplers
from comfy_api.latest import io

from nodes import common_ksampler  # ComfyUI's, not this folder

from .motion_guidance import guidance_inputs, guided_model


class MotionGuidanceSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_MotionGuidanceSampler",
            display_name="Motion Guidance Sampler",
            category="VMT",
            description="KSampler that follows the motion of a reference; the same as Motion Guidance and KSampler.",
            inputs=[
                io.Model.Input("model", tooltip="A Wan model."),
                io.Conditioning.Input("positive", tooltip="What the video shows."),
                io.Conditioning.Input("negative", tooltip="What to avoid."),
                io.Latent.Input(
                    "latent_image",
                    tooltip="An empty video latent of the reference's size and length, or a video to change.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Noise to start from.",
                ),
                io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Sampling steps."),
                io.Float.Input(
                    "cfg",
                    default=5.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="How closely the prompt is followed.",
                ),
                io.Combo.Input(
                    "sampler_name",
                    options=comfy.samplers.KSampler.SAMPLERS,
                    default="euler",
                    tooltip="euler and euler_ancestral suit guidance best; samplers that remember earlier steps lose "
                    "them at guided ones.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.KSampler.SCHEDULERS,
                    default="simple",
                    tooltip="How noise falls over the steps.",
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Below 1 the given latent shows through.",
                ),
                *guidance_inputs(),
            ],
            outputs=[io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(
        cls, model, positive, negative, latent_image, seed, steps, cfg, sampler_name, scheduler, denoise, **settings
    ) -> io.NodeOutput:
        model = guided_model(model, **settings)
        return io.NodeOutput(
            *common_ksampler(
                model, seed, steps, cfg, sampler_name, scheduler, positive, negative, latent_image, denoise=denoise
            )
        )
