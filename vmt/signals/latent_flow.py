"""Latent flow: displacement read in a clip's own latent, by block matching, instead of in attention.

A sampler predicts the clean clip at every step. What moves can be read there: things, and, which attention does not
see, the ground under a moving camera. The gradient never enters the model, so guidance by it costs neither a forward
nor a backward pass. It sees what a latent shows and no more: what attention knows of things is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..errors import InputError, StateError
from ..token_grid import TokenGrid
from .attention_flow import AttentionFlowConfig, mask_of_pairs
from .block_matching import displacement_and_likeness, displacement_and_surprise
from .frame_pairs import frame_pairs
from .weights import loss_weights

CELLS = 16  # of the shorter side at least, 31 at most: a video of any size is compared by equal parts of its frame
FAR = 1.0  # cells; an error well beyond this counts by surprise alone
PER_TOKEN = 2  # latent cells of a token's side, in every Wan


@dataclass(frozen=True)
class LatentFlow:
    """The motion of a reference's latent. P frame pairs; h and w as `matched_size` has them."""

    grid: TokenGrid
    config: AttentionFlowConfig  # whose span and weight hold here too
    pairs: Tensor  # (P, 2) int64, frames (i, j) with i < j
    displacement: Tensor  # (P, h, w, 2) float32 cells (row, col), see `block_matching`
    confidence: Tensor  # (P, h, w) float32, 0..1


def matched_size(grid: TokenGrid) -> tuple[int, int]:
    """Rows and columns of cells that a clip is compared in."""
    sides = PER_TOKEN * grid.height, PER_TOKEN * grid.width
    pooled = max(1, min(sides) // CELLS)
    return tuple(round(side / pooled) for side in sides)


def extract_latent_flow(
    latent: Tensor, grid: TokenGrid, config: AttentionFlowConfig, device: torch.device | str | None = None
) -> LatentFlow:
    """Measure the latent flow of a reference.

    Args:
        latent: (1,C,F,h,w), clean, in model space. grid: its tokens. config: of the AMF beside it.
        device: where to compute; the result is on the CPU.
    Raises:
        InputError: fewer than two latent frames. StateError: NaN or infinity.
    """
    pairs = frame_pairs(grid.frames, config.span)
    if not torch.isfinite(latent).all():
        raise StateError(
            "The reference latent holds NaN or infinite values; only finite ones can be matched. Decode it to see "
            "what is wrong, or encode the reference again."
        )
    with torch.no_grad():
        moved, alike = displacement_and_likeness(*_pictures(latent.to(device, torch.float32), grid, pairs))
    return LatentFlow(grid, config, pairs, moved.cpu(), alike.cpu())


def latent_flow_loss(flow: LatentFlow, clip: Tensor, mask: Tensor | None = None) -> Tensor:
    """How far the motion of predicted clips (B,C,F,h,w), float32, is from the reference's: (B,).

    The mean over pairs and cells of surprise * e^2 / (1 + e^2 / FAR^2), weighted as in `attention_flow_loss` and in
    squared fractions of the frame. e is |d_gen - d_ref|, and surprise how little the clip makes expect d_ref, see
    `block_matching`: what is far off is pulled by the latter, which does not saturate, and what is nearly right by e.
    mask: as there, in tokens. Gradient: to the clip.

    Source: e^2 / (1 + e^2) is Geman and McClure's (1987); the product is ours.

    Raises:
        InputError: the clip has another number of frames.
    """
    if clip.shape[2] != flow.grid.frames:
        raise InputError(
            f"The predicted clip has {clip.shape[2]} latent frames, the reference {flow.grid.frames}; they must be "
            "equal. Sample a video of the reference's length."
        )
    wanted = flow.displacement.to(clip)
    pictures = _pictures(clip, flow.grid, flow.pairs)
    moved, surprise = displacement_and_surprise(*pictures, wanted.repeat(len(clip), 1, 1, 1))
    moved, surprise = (found.unflatten(0, (len(clip), -1)) for found in (moved, surprise))
    if mask is not None:
        tokens = mask_of_pairs(mask, flow.grid, flow.pairs).unflatten(1, (flow.grid.height, flow.grid.width))
        mask = adaptive_avg_pool2d(tokens[:, None], flow.confidence.shape[1:])[:, 0]
    weight = loss_weights(flow.config.weight, flow.config.span, flow.pairs, flow.displacement, flow.confidence, mask)
    square = (moved - wanted).square().sum(-1)
    error = surprise * square / (1 + square / FAR**2)
    return (error * weight.to(moved)).sum((1, 2, 3)) / weight[0].numel()


def _pictures(clip: Tensor, grid: TokenGrid, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Both frames of each pair of each clip, (B*P,C,h,w), less their means over the frame: what is alike everywhere
    tells no place from another."""
    frames = adaptive_avg_pool2d(clip.movedim(2, 1).flatten(0, 1), matched_size(grid))
    frames = (frames - frames.mean((2, 3), keepdim=True)).unflatten(0, (len(clip), -1))
    pairs = pairs.to(clip.device)
    return tuple(frames.index_select(1, pairs[:, side]).flatten(0, 1) for side in (0, 1))
