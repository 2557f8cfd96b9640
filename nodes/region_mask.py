"""A painted mask, in pixels of the video, as weights of the token grid."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..vmt.errors import InputError
from ..vmt.token_grid import TokenGrid


def mask_on_tokens(mask: Tensor, grid: TokenGrid) -> Tensor:
    """Mean of a mask over each token's cell.

    Args:
        mask: (N, H, W) or (H, W), 0..1; N = 1, the latent frames F, or the video frames 4(F-1)+1. Latent frame 0 is
            video frame 0, every other one the mean of its four.
    Returns:
        (h, w) float32 for one mask, else (F, h, w).
    Raises:
        InputError: another number of frames, another form, or nothing painted.
    """
    mask = mask.float().cpu()
    mask = mask[None] if mask.ndim == 2 else mask
    allowed = (1, grid.frames, 4 * (grid.frames - 1) + 1)
    if mask.ndim != 3 or len(mask) not in allowed:
        raise InputError(
            f"The region mask has shape {tuple(mask.shape)}; 1 mask, {allowed[1]} (one per latent frame) or "
            f"{allowed[2]} (one per video frame) are allowed. Use one mask, or as many as the video has frames."
        )
    if not torch.isfinite(mask).all() or (mask < 0).any() or not mask.any():
        raise InputError(
            "The region mask is empty, negative or NaN; some part of it must be above 0. Paint the region whose motion "
            "is to be followed, or disconnect the mask."
        )
    if len(mask) == allowed[2] and allowed[2] != grid.frames:
        mask = torch.cat([mask[:1], mask[1:].unflatten(0, (-1, 4)).mean(1)])
    tokens = adaptive_avg_pool2d(mask[:, None], (grid.height, grid.width))[:, 0]
    return tokens[0] if len(tokens) == 1 else tokens
