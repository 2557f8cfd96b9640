"""Grounds that never repeat, so that a camera's motion over them is unambiguous.

Tones are noise on a grid of cells, drawn from an integer hash of the cell's place: the world is endless, and the same
on every device.
"""

from __future__ import annotations

import torch

from ..demo.vocabulary import TEXTURES

CONTRAST = 0.42  # relative brightness between the darkest and the lightest cell


def _hash(row: torch.Tensor, col: torch.Tensor, seed: torch.Tensor) -> torch.Tensor:
    """Integer cell places (int64) to uniform float32 in 0..1."""
    mixed = (row * 73856093) ^ (col * 19349663) ^ (seed * 83492791)
    mixed = (mixed ^ (mixed >> 13)) & 0x7FFFFFFF
    mixed = (mixed * 1274126177) & 0x7FFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 461845907) & 0x7FFFFFFF
    return ((mixed ^ (mixed >> 11)) & 0xFFFF).float() / 65535


def ground_tone(world_row, world_col, zoom, batch) -> torch.Tensor:
    """Brightness factor (B,T,H,W) of the ground around 1, for each clip's texture.

    Args:
        world_row, world_col: (B,T,H,W) world coordinates of the pixels. zoom: (B,T,1,1) pixels per world unit.
        batch: `render.stack`'s tensors; uses texture, ground_seed, cell, ground_angle.
    """
    cell = batch["cell"][:, None, None, None]
    angle = batch["ground_angle"][:, None, None, None]
    seed = batch["ground_seed"][:, None, None, None]
    cos, sin = angle.cos(), angle.sin()
    row, col = (cos * world_row - sin * world_col) / cell, (sin * world_row + cos * world_col) / cell
    softness = 1 / (cell * zoom)  # one pixel, in cells: edges are blended over it

    def only(texture):
        return (batch["texture"] == TEXTURES.index(texture))[:, None, None, None]

    tone = torch.ones_like(row)
    if bool(only("tiled").any() | only("striped").any()):
        stripes = only("striped")
        low_row, blend_row = _cell_and_blend(row, softness)
        low_col, blend_col = _cell_and_blend(col, softness)
        low_col = torch.where(stripes, torch.zeros_like(low_col), low_col)
        step_col = torch.where(stripes, torch.zeros_like(low_col), torch.ones_like(low_col))
        corners = [
            torch.lerp(_hash(low_row + i, low_col, seed), _hash(low_row + i, low_col + step_col, seed), blend_col)
            for i in (0, 1)
        ]
        value = torch.lerp(corners[0], corners[1], blend_row)
        tone = torch.where(only("tiled") | stripes, 1 + CONTRAST * (value - 0.5), tone)
    if bool(only("spotted").any()):
        cell_row, cell_col = row.floor().long(), col.floor().long()
        spot_row = 0.3 + 0.4 * _hash(cell_row, cell_col, seed + 1)
        spot_col = 0.3 + 0.4 * _hash(cell_row, cell_col, seed + 2)
        radius = 0.16 + 0.12 * _hash(cell_row, cell_col, seed + 3)
        distance = torch.hypot(row - cell_row - spot_row, col - cell_col - spot_col) - radius
        cover = (0.5 - distance / softness).clamp(0, 1)
        tone = torch.where(only("spotted"), 1 + CONTRAST * 0.9 * cover, tone)
    return tone


def _cell_and_blend(place, softness):
    """Nearest lower cell centre as int64, and how far over to the next cell: a step one pixel wide at the border."""
    low = (place - 0.5).floor()
    across = place - 0.5 - low
    return low.long(), (0.5 + (across - 0.5) / softness).clamp(0, 1)
