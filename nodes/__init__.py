"""The nodes, and what ComfyUI is told about them. Thin: they read inputs, call `vmt`, return outputs."""

from pathlib import Path

import folder_paths
from comfy_api.latest import ComfyExtension, io

DEMO_WEIGHTS = Path(__file__).resolve().parent.parent / "vmt" / "demo" / "weights"


def register_demo_weights():
    """Makes the stock loaders list the demo model, its VAE, and a motion that it has learned."""
    for kind in ("diffusion_models", "vae", "loras"):
        folder_paths.add_model_folder_path(kind, str(DEMO_WEIGHTS / kind))


class MotionTransferExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        from .compare_methods import CompareMethods
        from .decoupled_lora_tuner import DecoupledLoraTuner
        from .demo_text_encoder import DemoTextEncoder
        from .extract_amf import ExtractAMF
        from .frame_difference_pull import FrameDifferencePull
        from .further_clip import FurtherClip
        from .guidance_options import GuidanceOptions
        from .key_value_injection import KeyValueInjection
        from .load_motion_lora import LoadMotionLora
        from .load_reference import LoadReferenceVideo
        from .motion_guidance import MotionGuidance
        from .motion_guidance_sampler import MotionGuidanceSampler
        from .motion_metrics import MotionMetrics
        from .tuner_options import TunerOptions
        from .windowed_inversion import WindowedInversion

        return [
            LoadReferenceVideo, WindowedInversion, ExtractAMF, MotionGuidance, MotionGuidanceSampler, GuidanceOptions,
            FrameDifferencePull, KeyValueInjection, DecoupledLoraTuner, TunerOptions, FurtherClip, LoadMotionLora,
            MotionMetrics, CompareMethods, DemoTextEncoder,
        ]  # fmt: skip


async def comfy_entrypoint() -> MotionTransferExtension:
    register_demo_weights()
    return MotionTransferExtension()
