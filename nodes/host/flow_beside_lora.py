"""The latent flow that a motion LoRA's file holds, guiding beside the LoRA.

A LoRA is used for videos of any kind; what the flow does not fit is made by the LoRA alone, and the node says so.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from torch import Tensor

from ...vmt.guidance.presets import PRESETS
from ...vmt.signals.latent_flow import LatentFlow
from .guided_sampling import guidances_of
from .latent_guidance import LatentGuidance, attach_latent_guidance
from .node_text import show_on_node


def with_flow(patcher, flow: LatentFlow | None, strength: float):
    """A clone that follows the flow as preset free does, times `strength`; below 0 the opposite motion."""
    if flow is None or not strength:
        return patcher
    if strength < 0:
        flow = replace(flow, displacement=-flow.displacement)
    config = PRESETS["free"].scaled(abs(strength)).latent
    return attach_latent_guidance(patcher, flow, config, kind=FlowBesideLora)


class FlowBesideLora(LatentGuidance):
    signal = "the flow in a motion LoRA's file"

    def check_and_sample(self, executor, *args, **kwargs):
        """OUTER_SAMPLE: nothing is refused."""
        return executor(*args, **kwargs)

    def sample_guided(self, executor, guider, sigmas, extra_args, callback, noise, *args, **kwargs):
        unfit = self._unfit(executor, noise)
        if unfit is None:
            return super().sample_guided(executor, guider, sigmas, extra_args, callback, noise, *args, **kwargs)
        told = f"The motion LoRA works alone, without the flow in its file: {unfit}."
        logging.warning(f"[VMT] {told}")
        show_on_node(told)
        return executor(guider, sigmas, extra_args, callback, noise, *args, **kwargs)

    def _unfit(self, executor, noise: Tensor) -> str | None:
        """Why the flow cannot guide, or is not to; None if it can."""
        frames = noise.shape[2] if noise.ndim == 5 else None
        if frames != self.flow.grid.frames:
            return f"that is of {self.flow.grid.frames} latent frames, and the video has {frames or 'none'}"
        if not hasattr(executor.class_obj, "sampler_function"):
            return f"the sampler, {type(executor.class_obj).__name__}, cannot be called step by step"
        if any(not isinstance(guidance, FlowBesideLora) for guidance in guidances_of(executor)):
            return "Motion Guidance guides already"
        return None
