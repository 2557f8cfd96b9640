"""Looking at a noisy video at half its height and width, where a pass through the model costs a fourth or less.

Motion is coarser than looks, and is decided where noise is high and nothing else can be seen. The positions are those
of a smaller video, as the model knows them from training on several sizes.
"""

from torch import Tensor
from torch.nn.functional import avg_pool3d

from .token_grid import TokenGrid

SMALLEST = 2  # tokens a side of the half-size grid: with one there is nowhere to move


def half_grid(grid: TokenGrid) -> TokenGrid | None:
    """The token grid at half height and width, rounded up; None for a frame that is too small for it."""
    half = TokenGrid(grid.frames, -(-grid.height // 2), -(-grid.width // 2))
    return half if min(half.height, half.width) >= SMALLEST else None


def half_latent(x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """A noisy latent pooled to half height and width, and its noise level.

    The mean of four cells keeps what is clean and halves the noise, so the result is scaled to be a latent of flow
    matching again: x' = mean / (1 - sigma/2), sigma' = (sigma/2) / (1 - sigma/2).

    Args:
        x: (B,C,F,h,w). sigma: (B,) or one for all, 0..1, on any device.
    Returns:
        (B,C,F,ceil(h/2),ceil(w/2)) and the level, of sigma's shape. Of an odd side the last row or column is a mean
        of fewer cells.
    Gradient: to x.
    """
    whole = 1 - sigma.to(x.device) / 2
    return half_clean(x) / whole.reshape(-1, 1, 1, 1, 1), half_level(sigma)


def half_level(sigma: Tensor | float) -> Tensor | float:
    """The noise level at which a video of half the height and width shows as much as a whole one at sigma, 0..1."""
    return sigma / 2 / (1 - sigma / 2)


def half_clean(x: Tensor) -> Tensor:
    """Something without noise (B,C,F,h,w) pooled to half height and width. Gradient: to x."""
    return avg_pool3d(x, (1, 2, 2), ceil_mode=True, count_include_pad=False)


def half_weights(weights: Tensor, grid: TokenGrid) -> Tensor:
    """Token weights (h,w) or (F,h,w) of a grid, also flattened, on its half grid: (1,h',w') or (F,h',w')."""
    frames = weights.reshape(1, 1, -1, grid.height, grid.width)
    return half_clean(frames)[0, 0]
