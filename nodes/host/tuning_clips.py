"""The clip to be tuned on: checked, thinned out, encoded."""

import hashlib
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from ...vmt.errors import InputError
from ...vmt.lora.presets import TunerConfig
from ...vmt.lora.sparse_frames import auto_stride, rope_factor, sparse_phases


@dataclass(frozen=True)
class Clips:
    """Latents in VAE scale, (1,C,F,h,w): thinned-out clips, single frames. rope_factor: of the thinned-out ones, as it
    was chosen; ends_factor: the one that puts their ends where the clip has them. frames_sha256: see `frames_hash`."""

    sparse: list[Tensor]
    stills: list[Tensor]
    rope_factor: float
    ends_factor: float = 1.0
    frames_sha256: str = ""


def check_frames(frames: Tensor) -> None:
    """Raises InputError if frames (T,H,W,C) cannot be tuned on."""
    if frames.ndim != 4 or frames.shape[-1] < 3 or not torch.isfinite(frames).all():
        raise InputError(
            f"The frames have shape {tuple(frames.shape)}, or hold NaN; finite frames (number, height, width, 3) are "
            "needed. Connect the frames of Load Reference Video."
        )


def encode_clips(vae, frames: Tensor, config: TunerConfig, seed: int) -> Clips:
    """Latents of the thinned-out clip, at different phases, and of single frames, from frames (T,H,W,3) 0..1.

    Raises:
        InputError: not 4n+1 frames, or too few for the stride.
    """
    num, rng = len(frames), Random(seed)
    stride = config.stride or auto_stride(num)
    chosen = sparse_phases(num, stride, config.phases, rng)
    stills = rng.sample(range(num), min(config.stills, num)) if config.spatial_steps else []
    used = chosen if config.temporal_steps else chosen[:1]  # by one at least the heads are told apart
    return Clips(
        [vae.encode(frames[numbers, ..., :3]) for numbers in used],
        [vae.encode(frames[i : i + 1, ..., :3]) for i in stills], rope_factor(num, len(chosen[0]), config.rope),
        rope_factor(num, len(chosen[0]), "ends"), frames_hash(frames),
    )  # fmt: skip


def frames_hash(frames: Tensor) -> str:
    """sha256 of the colours of frames (T,H,W,3 or 4) 0..1 in 8 bits: the same however the clip is tuned on."""
    return hashlib.sha256(
        (frames[..., :3].clamp(0, 1) * 255).round().byte().cpu().contiguous().numpy().data
    ).hexdigest()
