"""Where in frame j a token of frame i is looked for.

A window is a full rectangle of the token grid around a centre. Near a border the *centre* moves inwards; its elements
are never clamped one by one, so every window has the same size, holds no position twice, and every position of the
frame can be reached.
"""

import torch
from torch import Tensor

from ..errors import InputError
from ..token_grid import TokenGrid


def window_size(grid: TokenGrid, radius: int | None) -> tuple[int, int]:
    """(rows, cols) of a window: 2*radius + 1, cut to the grid; radius None is the whole frame."""
    if radius is None:
        return grid.height, grid.width
    if radius < 0:
        raise InputError(f"radius is {radius}; 0 or more tokens, or None (whole frame), is allowed. Raise radius.")
    return min(2 * radius + 1, grid.height), min(2 * radius + 1, grid.width)


def tile_middles(grid: TokenGrid, tile: tuple[int, int]) -> Tensor:
    """For each token of a frame the token in the middle of its tile: (S,) int64.

    Tiles of (rows, cols) tokens cover the frame from the top left; the last row and column of tiles may be cut short.
    A tile of (1, 1) makes each token its own middle.
    """
    if min(tile) < 1:
        raise InputError(f"tile is {tile}; sizes of 1 token or more are allowed. Raise tile.")

    def middles(length: int, step: int) -> Tensor:
        start = torch.arange(length) // step * step
        end = (start + step).clamp(max=length)
        return start + (end - start) // 2

    return (middles(grid.height, tile[0])[:, None] * grid.width + middles(grid.width, tile[1])).flatten()


def window_centres(match: Tensor, grid: TokenGrid, radius: int | None, tile: tuple[int, int] = (1, 1)) -> Tensor:
    """Centres of the windows, moved inwards so that each window lies in the frame.

    Args:
        match: (P, S) int, best match in frame j (flat token index) of each token of frame i, in the reference.
        radius, tile: tokens; all tokens of a tile share the window of the tile's middle token.
    Returns:
        centres (P, S, 2) int16, absolute (row, col). A window of even size has one more element before its centre
        than behind it.
    """
    match = match[:, tile_middles(grid, tile).to(match.device)]
    axes = []
    for centre, size, length in zip(
        (match // grid.width, match % grid.width), window_size(grid, radius), (grid.height, grid.width), strict=True
    ):
        axes.append(centre.clamp(min=size // 2, max=length - size + size // 2))
    return torch.stack(axes, dim=-1).to(torch.int16)


def window_offsets(size: tuple[int, int], device=None) -> Tensor:
    """(K, 2) int64 (row, col) of a window's elements relative to its centre, row-major."""
    rows, cols = (torch.arange(length, device=device) - length // 2 for length in size)
    return torch.stack(torch.meshgrid(rows, cols, indexing="ij"), dim=-1).reshape(-1, 2)


def window_tokens(centres: Tensor, size: tuple[int, int], grid: TokenGrid) -> Tensor:
    """(..., K) int64 flat token indices of the windows around `centres` (..., 2)."""
    rows_cols = centres.to(torch.int64)[..., None, :] + window_offsets(size, centres.device)
    return rows_cols[..., 0] * grid.width + rows_cols[..., 1]


def window_holds(tokens: Tensor, centres: Tensor, size: tuple[int, int], grid: TokenGrid) -> Tensor:
    """Whether each token (P, S) (flat index) lies in the window around its centre (P, S, 2): (P, S) bool."""
    rows_cols = torch.stack([tokens // grid.width, tokens % grid.width], dim=-1)
    from_start = rows_cols - centres + torch.tensor([length // 2 for length in size], device=centres.device)
    return ((from_start >= 0) & (from_start < torch.tensor(size, device=centres.device))).all(-1)
