"""The clips to be tuned on: checked, thinned out, encoded."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor

from ...vmt.errors import InputError
from ...vmt.lora.positions import frame_scale
from ...vmt.lora.presets import TunerConfig
from ...vmt.lora.sparse_frames import auto_stride, num_sparse, sparse_latents, sparse_phases


@dataclass(frozen=True)
class CaptionedClip:
    """frames: (T,H,W,3) 0..1. positive: what they show, a CONDITIONING."""

    frames: Tensor
    positive: list


@dataclass(frozen=True)
class Clips:
    """Latents in VAE scale, (1,C,F,h,w): the whole reference, thinned-out clips, single frames, whole clips for half
    size. captions: of each thinned-out clip the number, 0 of the reference; whole ones are in that order. scale_t: of
    the positions of thinned-out ones, as it was chosen; ends_scale_t: the one that puts their ends where the clip has
    them. frames_sha256: see `frames_hash`.
    """

    reference: Tensor
    sparse: list[Tensor]
    captions: list[int]
    stills: list[Tensor]
    scale_t: float
    whole: list[Tensor] = field(default_factory=list)
    ends_scale_t: float = 1.0
    frames_sha256: str = ""


def check_frames(frames: Tensor) -> None:
    """Raises InputError if frames (T,H,W,C) cannot be tuned on."""
    if frames.ndim != 4 or frames.shape[-1] < 3 or not torch.isfinite(frames).all():
        raise InputError(
            f"The frames have shape {tuple(frames.shape)}, or hold NaN; finite frames (number, height, width, 3) are "
            "needed. Connect the frames of Load Reference Video."
        )


def check_further(number: int, further: Tensor, frames: Tensor) -> None:
    """Raises InputError unless the clip of that number has as many frames (T,H,W,C) as the reference, as large."""
    if further.shape[:3] != frames.shape[:3]:
        (t, h, w), (own_t, own_h, own_w) = further.shape[:3], frames.shape[:3]
        raise InputError(
            f"Further clip {number} has {t} frames of {w}x{h}, the reference {own_t} of {own_w}x{own_h}; all clips of "
            "a tuning must be equal. Sample or load it in the reference's length and size."
        )


def encode_clips(vae, clips: Sequence[CaptionedClip], config: TunerConfig, seed: int) -> Clips:
    """Latents of the thinned-out clips, of whole ones for half size, and of single frames of the first, the reference.

    Of video frames that are thinned out there are several phases; all clips at one phase come before the next, so that
    the first few are of different clips.

    Raises:
        InputError: not 4n+1 frames, or too few for the stride.
    """
    frames = clips[0].frames
    num, rng = len(frames), Random(seed)
    stride = config.stride or auto_stride(num, config.sparse)
    if config.sparse == "frames":
        choices, stays, span = sparse_phases(num, stride, config.phases, rng), slice(None), num
    else:
        stays = sparse_latents(num, stride)
        choices, span = [slice(None)], 4 * int(stays[-1]) + 1  # video frames up to the last that stays
    stills = rng.sample(range(num), min(config.stills, num)) if config.spatial_steps else []
    in_latents = config.sparse == "latents"
    every = config.half_steps or (in_latents and config.temporal_steps)  # else the reference alone is seen whole
    whole = [vae.encode(clip.frames[..., :3]) for clip in (clips if every else clips[:1])]
    if not config.temporal_steps:
        choices, clips = choices[:1], clips[:1]  # by one the heads are told apart
    left = num_sparse(num, stride, config.sparse)
    if in_latents:
        sparse = [latent[:, :, stays] for latent in whole[: len(clips)]]
    else:
        sparse = [vae.encode(clip.frames[numbers, ..., :3])[:, :, stays] for numbers in choices for clip in clips]
    return Clips(
        whole[0], sparse, [caption for _ in choices for caption in range(len(clips))],
        [vae.encode(frames[i : i + 1, ..., :3]) for i in stills], frame_scale(span, left, config.rope),
        whole if config.half_steps else [],
        frame_scale(span, left, "ends"), frames_hash(frames),
    )  # fmt: skip


def frames_hash(frames: Tensor) -> str:
    """sha256 of the colours of frames (T,H,W,3 or 4) 0..1 in 8 bits: the same however the clip is tuned on."""
    return hashlib.sha256(
        (frames[..., :3].clamp(0, 1) * 255).round().byte().cpu().contiguous().numpy().data
    ).hexdigest()
