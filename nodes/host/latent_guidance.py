"""Guidance by latent flow: the clip that the sampler predicts against the reference; no pass through the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ...vmt.guidance.config import GuidanceConfig
from ...vmt.signals.latent_flow import LatentFlow, latent_flow_loss
from .guided_sampling import Guidance, attach, normal_tensor
from .model_check import check_wan
from .noise_mask import beside_known


def attach_latent_guidance(
    patcher, flow: LatentFlow | None, config: GuidanceConfig, mask: Tensor | None = None, kind: type | None = None
):
    """A clone of the model whose predicted clip follows the latent flow of a reference.

    Without flow, or with a config that is off, nothing is attached. mask: see `latent_flow_loss`.
    kind: a LatentGuidance of its own.

    Raises:
        UnsupportedModelError: no Wan model.
    """
    if flow is None or config.is_off:
        return patcher.clone()
    held = {name: normal_tensor(getattr(flow, name)) for name in ("pairs", "displacement", "confidence")}
    return attach(
        patcher, (kind or LatentGuidance)(replace(flow, **held), config, normal_tensor(mask), check_wan(patcher))
    )


@dataclass(frozen=True)
class LatentGuidance(Guidance):
    needs_prediction, signal, advice = True, "latent flow", "Use a smaller or shorter video."

    def loss_function(self, model, x, sigma, model_options, denoise_mask=None, velocity=None, way=""):
        level = float(sigma)

        def loss_fn(latent):
            clip = beside_known(model, latent - level * velocity, latent.new_zeros(len(latent)), denoise_mask)
            return latent_flow_loss(self.flow, clip, self.mask)

        return loss_fn
