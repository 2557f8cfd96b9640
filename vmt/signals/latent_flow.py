"""Latent flow: the displacement of the AMF, read in a clip's own latent instead of in attention.

A sampler predicts the clean clip at every step. What moves can be read there too: a token's place is found again in the
next frames by the latent in and around it. The gradient of that never enters the model, so guidance by it costs neither
a forward nor a backward pass. It sees what a latent shows and no more: what attention knows of things is not in it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from ..features import MotionFeatures
from ..token_grid import TokenGrid
from .attention_flow import AttentionFlow, AttentionFlowConfig, attention_flow_loss, extract

LATENT = 0  # the one set of features, where an AMF has attention blocks


def token_patches(clip: Tensor, grid: TokenGrid) -> Tensor:
    """What a clip (B,C,F,h,w) shows in and around each token: (B, F*S, 1, D), D = C times twice the token a side.

    A frame's mean over all places is taken out: what is alike everywhere tells no place from another.

    Gradient: to the clip.
    """
    batch, _, _, height, width = clip.shape
    rows, columns = -(-height // grid.height), -(-width // grid.width)  # cells of a token; every Wan's is one frame
    images = clip.movedim(2, 1).flatten(0, 1)
    images = images - images.mean((2, 3), keepdim=True)
    missing = grid.width * columns - width, grid.height * rows - height
    border = (columns // 2, columns - columns // 2 + missing[0], rows // 2, rows - rows // 2 + missing[1])
    images = functional.pad(images, border, mode="replicate")
    patches = functional.unfold(images, (2 * rows, 2 * columns), stride=(rows, columns)).transpose(1, 2)
    return patches.reshape(batch, grid.num_tokens, 1, patches.shape[-1])


def latent_config(config: AttentionFlowConfig) -> AttentionFlowConfig:
    """How latent flow is read beside an AMF of that config.

    Places look more alike in a latent than in attention. So frames one further apart are compared as well, and matches
    are read twice as sharply; on the demo model both help. There are no heads.
    """
    return replace(
        config, span=config.span + 1, temperature=2 * config.temperature, heads="mean_logits", head_indices=None
    )


def extract_latent_flow(
    latent: Tensor, grid: TokenGrid, config: AttentionFlowConfig, device: torch.device | str | None = None
) -> AttentionFlow:
    """Measure the latent flow of a reference: an AMF whose one block is `LATENT`.

    Args:
        latent: (1,C,F,h,w), clean, in model space. grid: its tokens. config: of the AMF; see `latent_config`.
        device: where to compute; the result is on the CPU.
    Raises:
        InputError: fewer than two latent frames. StateError: NaN or infinity.
    """
    patches = token_patches(latent.to(device, torch.float32), grid)
    features = MotionFeatures(grid, {LATENT: patches}, {LATENT: patches}, "pre", 0.0, latent, "latent")
    return extract(features, latent_config(config))


def latent_flow_loss(flow: AttentionFlow, clip: Tensor, mask: Tensor | None = None) -> Tensor:
    """How far the motion of predicted clips (B,C,F,h,w), float32, is from the reference's: (B,).

    mask: as in `attention_flow_loss`. Gradient: to the clip.
    """
    patches = {LATENT: token_patches(clip, flow.grid)}
    return attention_flow_loss(flow, patches, patches, mask)
