"""Refusals that need both the model and what is fed to it; each says what was given, what is allowed, what to do."""

import torch
from comfy.hooks import EnumHookType
from torch import Tensor

from ...vmt.errors import InputError, UnsupportedModelError
from ...vmt.signals.attention_flow import AttentionFlow
from ...vmt.token_grid import TokenGrid
from .model_check import WanSizes


def check_video_latent(name: str, latent: Tensor, wan: WanSizes) -> TokenGrid:
    """The token grid of a latent (B, C, F, h, w) that fits the model and has at least two latent frames.

    Raises:
        InputError: an image latent, the channels of another VAE, too short, or NaN.
    """
    if getattr(latent, "is_nested", False) or latent.ndim != 5:
        shape = "nested" if getattr(latent, "is_nested", False) else tuple(latent.shape)
        raise InputError(
            f"{name} has shape {shape}; a video latent (batch, channels, frames, height, width) is needed. "
            "Use VAE Encode with the model's video VAE, or an empty video latent node."
        )
    if latent.shape[1] != wan.channels:
        raise InputError(
            f"{name} has {latent.shape[1]} channels, the model works on {wan.channels}. Encode it with the VAE that "
            "belongs to this model."
        )
    if latent.shape[2] < 2:
        raise InputError(
            f"{name} has {latent.shape[2]} latent frame; motion needs at least 2, that is 5 video frames (4n+1). "
            "Use a longer clip."
        )
    if not torch.isfinite(latent).all():
        raise InputError(
            f"{name} holds NaN or infinite values; only finite ones can be used. Decode it to see which step broke it, "
            "or run the VAE in fp32."
        )
    return TokenGrid.from_latent_shape(latent.shape, wan.patch)


def check_reference(latent: Tensor, wan: WanSizes) -> TokenGrid:
    """As `check_video_latent`, for one reference clip that is not empty."""
    grid = check_video_latent("Reference latent", latent, wan)
    if latent.shape[0] != 1:
        raise InputError(
            f"Reference latent holds {latent.shape[0]} clips; one reference is measured at a time. Pick one with "
            "Latent From Batch."
        )
    if not latent.any():
        raise InputError(
            "Reference latent is empty (all zeros); the reference clip itself is needed. Connect VAE Encode, with the "
            "frames of Load Reference Video."
        )
    return grid


def check_flow(flow: AttentionFlow, wan: WanSizes) -> None:
    """Raises if the AMF was taken with another model than this one."""
    deepest = max(flow.blocks)
    if deepest >= wan.num_blocks or flow.model != str(wan):
        raise UnsupportedModelError(
            f"The AMF was taken with another model ({flow.model}; block {deepest}) than the one that samples ({wan}). "
            "Run Windowed Inversion with the model that samples."
        )


def check_grid(
    measured: TokenGrid, latent: Tensor, wan: WanSizes, known: str = "AMF was taken on",
    again: str = "Extract it again from",
) -> TokenGrid:  # fmt: skip
    """The token grid of a latent that is to follow what is `known` on the grid `measured`; `again`: how to mend it."""
    grid = check_video_latent("The latent to sample", latent, wan)
    if grid != measured:
        raise InputError(
            f"The {known} a {measured} token grid, the latent gives {grid}. {again} {wan.clip_size(grid)}, or sample "
            f"{wan.clip_size(measured)}."
        )
    return grid


def check_whole_run(name: str, conditioning: list) -> None:
    """Raises InputError if a node's CONDITIONING holds for a part of the noise levels, or of the frame, only."""
    for _, more in conditioning:
        if more.get("mask") is not None:
            raise InputError(
                f"{name} is limited to a part of the frame by Conditioning (Set Mask); one for the whole frame is "
                "needed. Take that node off it."
            )
        if more.get("start_percent", 0.0) > 0 or more.get("end_percent", 1.0) < 1:
            raise InputError(
                f"{name} is limited to {more.get('start_percent', 0.0):.0%} to {more.get('end_percent', 1.0):.0%} of "
                "sampling; one for all noise levels is needed. Take Conditioning Set Timestep Range off it."
            )


def check_conditioning(name: str, conds: list[dict], wan: WanSizes) -> None:
    """Conditionings in the host's inner form: dicts with "cross_attn" and, if limited to a rectangle, "area".

    Raises:
        InputError: none, the text encoder of another model, or a rectangle.
    """
    if not conds:
        raise InputError(f"{name} is empty; one prompt at least is needed. Connect CLIP Text Encode.")
    for cond in conds:
        text = cond.get("cross_attn")
        if text is not None and text.shape[-1] != wan.text_dim:
            raise InputError(
                f"{name} has text features of width {text.shape[-1]}, the model reads {wan.text_dim}. Encode the "
                "prompt with the text encoder that belongs to this model (umt5_xxl for Wan)."
            )
        if cond.get("area") is not None:
            raise InputError(
                f"{name} is limited to a rectangle by Conditioning (Set Area); a guided video must be seen whole. Use "
                "Conditioning Set Mask without bounds, or no area."
            )


def check_weights(name: str, conds: list[dict]) -> None:
    """Raises InputError if conditionings ask for other weights of the model each, or of each noise level.

    The host exchanges weights between passes; a gradient that goes back through all of them would meet the last. And it
    goes through keyframes in the order of the sampler's noise levels; a pass at a lower one, to look ahead, would make
    the sampler itself go on with what is due there.
    """
    if any(
        keyframe.start_percent > 0
        for cond in conds
        for hook in _weight_hooks(cond)
        for keyframe in hook.hook_keyframe.keyframes
    ):
        raise InputError(
            f"{name} has a LoRA hook whose strength changes while sampling; one of one strength is needed, since the "
            "model is looked through at other noise levels too. Take the Hook Keyframes off it, or use the preset free."
        )
    if len({_weight_hooks(cond) for cond in conds}) > 1:
        raise InputError(
            f"{name} is made of {len(conds)} prompts with different LoRA hooks; one set for all is needed, since their "
            "motion is compared in one go. Give all of them the same hooks, or load the LoRA into the model."
        )


def _weight_hooks(cond: dict) -> frozenset:
    group = cond.get("hooks")
    return frozenset(hook for hook in group.hooks if hook.hook_type == EnumHookType.Weight) if group else frozenset()
