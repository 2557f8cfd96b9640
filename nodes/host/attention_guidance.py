"""Guidance by attention motion flow: q and k of the video being sampled against the reference's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...vmt.errors import InputError
from ...vmt.guidance.balance import balanced
from ...vmt.guidance.config import GuidanceConfig
from ...vmt.half_size import half_weights
from ...vmt.signals.attention_flow import AttentionFlow, attention_flow_loss
from ...vmt.signals.corresponding_windows import check_distances, corresponding_window_loss
from .capture import Tap, capture_queries_keys, predicted_velocity
from .checkpoint import CHECKPOINTS, fitting
from .gradient_scale import GradientScale
from .guided_sampling import Guidance, attach, normal_flow, normal_tensor
from .half_prompts import half_prompts
from .input_check import check_flow, check_weights
from .model_check import check_gradient, check_wan
from .noise_mask import beside_known, half_beside_known
from .versions import weights_are_staged

HALF = "half size"  # the way that is left when nothing of the whole one can be kept


def attach_attention_guidance(
    patcher, flow: AttentionFlow | None, config: GuidanceConfig, checkpoint: str = "auto", mask: Tensor | None = None
):
    """A clone of the model that follows the motion of `flow` when it is sampled.

    Without flow, or with a config that is off, nothing is attached: the clone samples bit for bit as the model.

    Args:
        checkpoint: of `checkpoint.CHECKPOINTS`, or "auto": as much is kept as memory allows.
        mask: token weights (h, w) or (F, h, w), see `attention_flow_loss`.
    Raises:
        UnsupportedModelError: no Wan model, one without a gradient, or the AMF is of another one.
        InputError: config.blocks names blocks that the AMF was not taken on, half size is asked for of frames that are
            too small, or corresponding windows of frames at distance 1.
    """
    if flow is None or config.is_off:
        return patcher.clone()
    wan = check_wan(patcher)
    check_gradient(patcher, wan)
    check_flow(flow, wan)
    flow = flow.of_blocks(config.blocks)
    if config.size == "half" and flow.half is None:
        raise InputError(
            f"Half size was asked for, but the AMF was taken on a {flow.grid} token grid; it must be 3 tokens high and "
            "wide at least. Use full size, or a larger reference."
        )
    if config.window_share:
        check_distances(flow)
    return attach(patcher, AttentionGuidance(normal_flow(flow), config, normal_tensor(mask), wan, checkpoint))


@dataclass(frozen=True)
class AttentionGuidance(Guidance):
    """checkpoint: see `attach_attention_guidance`."""

    checkpoint: str = "auto"
    signal = "attention"

    def check_and_sample(self, executor, *args, **kwargs):
        check_weights("The positive prompt", executor.class_obj.conds.get("positive", []))
        return super().check_and_sample(executor, *args, **kwargs)

    @property
    def reserve(self) -> int:
        """For what the backward pass keeps."""
        return 2 if self.config.size == "half" else 3

    def loss_function(
        self, model, x: Tensor, sigma: Tensor, model_options: dict, denoise_mask: Tensor | None = None,
        velocity: Tensor | None = None, way: str = "none",
    ):  # fmt: skip
        """As told there; `way` is a checkpoint, or `HALF`.

        Where there is no velocity to look ahead by, a forward pass predicts that of each latent.
        """
        guider = model.inner_model
        sigmas = sigma.clone() * x.new_ones(x.shape[0])
        wan, prompts = guider.inner_model, guider.conds["positive"]
        half = way == HALF or self.config.size == "half"
        flow, mask, shown = self.flow, self.mask, prompts
        if half:
            flow, shown = flow.half, half_prompts(prompts, x)
            mask = None if mask is None else half_weights(mask, self.flow.grid)
        tap = Tap(
            tuple(sorted(flow.blocks)), self.wan.num_blocks, flow.grid, flow.rope,
            CHECKPOINTS[-1] if way == HALF else way, weights_are_staged(guider.model_patcher),
        )  # fmt: skip
        level = min(float(sigma), self.flow.sigma) if self.config.look_ahead else float(sigma)

        def of_videos(losses):
            return losses.unflatten(0, (-1, x.shape[0])).mean(0)  # over prompts

        def loss_fn(latent):
            scale = GradientScale()
            seen, at = scale.reduce(latent), sigmas
            if level < float(sigma):
                ahead = velocity
                if ahead is None:
                    shown_now = beside_known(model, seen, sigmas, denoise_mask)
                    ahead = predicted_velocity(wan, prompts, shown_now, sigmas, model_options)
                seen, at = seen + (level - float(sigma)) * ahead, torch.full_like(sigmas, level)
            if half:
                seen, at = half_beside_known(model, seen, at, denoise_mask)
            else:
                seen = beside_known(model, seen, at, denoise_mask)
            queries, keys = capture_queries_keys(wan, shown, seen, at, model_options, tap)
            captured = scale.enlarge([*queries.values(), *keys.values()])
            queries = dict(zip(queries, captured[: len(queries)], strict=True))
            keys = dict(zip(keys, captured[len(queries) :], strict=True))
            loss = of_videos(attention_flow_loss(flow, queries, keys, mask, both_ways=self.config.both_ways))
            if self.config.window_share and latent.requires_grad:
                windows = of_videos(corresponding_window_loss(flow, keys))
                loss = balanced(loss, windows, [*queries.values(), *keys.values()], self.config.window_share)
            return loss

        return loss_fn

    def ways(self, model, x: Tensor) -> tuple[str, ...]:
        """Checkpoints from the one asked for on; with "auto" from the first that fills half of the free memory.

        When none fits, half size is left, which gives another gradient than the others.
        """
        last = (HALF,) if self.flow.half and self.config.size == "full" else ()
        if self.checkpoint != "auto":
            return CHECKPOINTS[CHECKPOINTS.index(self.checkpoint) :] + last
        flow = self.flow.half if self.config.size == "half" else self.flow
        num_tokens = flow.grid.num_tokens * x.shape[0] * len(model.inner_model.conds["positive"])
        return fitting(model.inner_model.model_patcher, self.wan, max(flow.blocks), num_tokens) + last
