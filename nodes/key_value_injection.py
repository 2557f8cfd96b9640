"""Key Value Injection: a model whose first block attends to a reference while the motion is decided."""

from comfy_api.latest import io

from ..vmt.errors import UnsupportedModelError
from .host.input_check import check_reference
from .host.key_value_injection import attach_key_values
from .host.model_check import check_wan
from .noise_level import noise_level


class KeyValueInjection(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_KeyValueInjection",
            display_name="Key Value Injection",
            category="VMT",
            description="Lets the first block of a Wan model attend to a reference at high noise levels, as DiTFlow "
            "does beside its guidance. It copies place and look along with motion.",
            inputs=[
                io.Model.Input("model", tooltip="A Wan text-to-video model."),
                io.Latent.Input("reference", tooltip="The reference clip, from VAE Encode."),
                noise_level(
                    "sigma_end", 0.95, "Down to this noise level. Lower copies more; 1: at the first step alone."
                ),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, reference, sigma_end) -> io.NodeOutput:
        wan, latent = check_wan(model), reference["samples"]
        grid = check_reference(latent, wan)
        if model.model.diffusion_model.patch_embedding.in_channels != wan.channels:
            raise UnsupportedModelError(
                "The model takes a picture beside the video; keys and values of a reference have none. Use a "
                "text-to-video model."
            )
        clean = model.model.process_latent_in(latent).float().cpu()
        return io.NodeOutput(attach_key_values(model, clean, sigma_end, grid, wan))
