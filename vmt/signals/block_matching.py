"""Displacement between two pictures by block matching: where the surroundings of a place are found again nearby.

One cell of a picture tells little: on a ground of stripes or tiles many are alike. So places are compared by their
neighbourhoods (cost aggregation), by normalised cross-correlation, which is the same for weak contrast as for strong.
The expectation over a window leans to where there are more or likelier places, at a border inwards above all; what is
read from the first picture to the second and back leans alike, so half the difference of the two is free of it.
Source: soft-argmin over an aggregated cost volume, arXiv 1703.04309; the difference of both directions is ours.

Where a match is sharp and wrong, as on a ground that stands, the expectation hardly changes with the pictures. How
surprising the wanted place is does: its cross-entropy never saturates.

Letters: N pairs of pictures, C channels, S cells of a picture, K places of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

FAINT = 0.01  # of a picture's mean square: neighbourhoods with less in them are like nothing, and nothing like them
EMPTY = 1e-12  # for pictures with nothing in them at all


@dataclass(frozen=True)
class BlockMatching:
    """How places are compared; the defaults read cameras and things best on latents of the demo model."""

    reach: int = 3  # cells to each side that a place is looked for in
    around: int = 2  # cells to each side that are its neighbourhood
    sharpness: float = 10.0  # of the match: the softmax is over sharpness * correlation
    nearness: float = 0.4  # what each squared cell of displacement takes off: of equals, the nearest is meant


def displacement_and_likeness(
    first: Tensor, second: Tensor, config: BlockMatching | None = None
) -> tuple[Tensor, Tensor]:
    """What is at each place of the first picture moves by this much to the second, and of the second from the first.

    Args:
        first, second: (N,C,h,w) float32 or float64, with values around 0.
    Returns:
        (N,h,w,2) of that dtype, (row, col) in cells; +row down, +col right. Exactly 0 where both pictures are equal,
        and exactly minus itself if they are exchanged. And how alike the most alike place in reach is: (N,h,w), 0..1.
    Gradient: of the displacement to both.
    """
    config = config or BlockMatching()
    there, back = correlations(first, second, config)
    return _half_difference(there, back, config), there.detach().amax(-1).clamp(0, 1)


def displacement_and_surprise(
    first: Tensor, second: Tensor, wanted: Tensor, config: BlockMatching | None = None
) -> tuple[Tensor, Tensor]:
    """The same displacement, and how little the pictures make expect the wanted one.

    Args:
        wanted: (N,h,w,2) cells, of the pictures' dtype, at most `reach` to each side.
    Returns:
        (N,h,w,2) as above, and the cross-entropy (N,h,w) in nats, 0 or more, of the softmax over the places of a window
        with those four that `wanted` lies between, mean of both directions; 0 where they lie outside the frame.
    Gradient: to both pictures.
    """
    config = config or BlockMatching()
    there, back = correlations(first, second, config)
    surprise = (_surprise(there, wanted, config) + _surprise(back, -wanted, config)) / 2
    return _half_difference(there, back, config), surprise


def correlations(first: Tensor, second: Tensor, config: BlockMatching) -> tuple[Tensor, Tensor]:
    """Normalised cross-correlation of each neighbourhood with those of its window in the other picture.

    Only what both neighbourhoods have in the frame is compared.

    Returns:
        (N,h,w,K) from the first picture and (N,h,w,K) from the second one, -1..1, -inf for places outside the frame.
    """
    size = tuple(first.shape[-2:])
    index_SK, seen_SK = (tensor.to(first.device) for tensor in _windows(size, config.reach))
    seen = seen_SK.unflatten(0, size)
    products_NSS = first.flatten(2).transpose(1, 2) @ second.flatten(2)  # of places (first, second)
    squares_NS = [picture.square().sum(1).flatten(1) for picture in (first, second)]

    def summed(maps_NSK: Tensor) -> Tensor:
        """Over each place's neighbourhood, without what lies outside the frame: (N,h,w,K)."""
        side, out = 2 * config.around + 1, config.around
        maps = (maps_NSK.unflatten(1, size) * seen).movedim(-1, 1)
        # Rows, then columns: a few sums of each.
        rows = avg_pool2d(maps, (side, 1), 1, (out, 0), divisor_override=1)
        return avg_pool2d(rows, (1, side), 1, (0, out), divisor_override=1).movedim(1, -1)

    common = FAINT * summed(torch.ones_like(seen_SK, dtype=first.dtype)[None])

    def one_way(products_NSS: Tensor, mine_NS: Tensor, theirs_NS: Tensor) -> Tensor:
        both = summed(products_NSS.gather(2, index_SK.expand(len(first), -1, -1)))
        mine = summed(mine_NS[..., None]) + common * mine_NS.mean(1)[:, None, None, None]
        theirs = summed(theirs_NS[:, index_SK]) + common * theirs_NS.mean(1)[:, None, None, None]
        return (both / (mine * theirs).clamp_min(EMPTY).sqrt()).masked_fill(~seen, -torch.inf)

    return one_way(products_NSS, *squares_NS), one_way(products_NSS.transpose(1, 2), *squares_NS[::-1])


def _half_difference(there: Tensor, back: Tensor, config: BlockMatching) -> Tensor:
    return (_expectation(there, config) - _expectation(back, config)) / 2


def _expectation(found: Tensor, config: BlockMatching) -> Tensor:
    """(N,h,w,K) -> (N,h,w,2) cells."""
    offsets_K2 = _offsets(config.reach).to(found)
    far_K = config.nearness * offsets_K2.square().sum(1)
    return (config.sharpness * found - far_K).softmax(-1) @ offsets_K2


def _surprise(found: Tensor, wanted: Tensor, config: BlockMatching) -> Tensor:
    """(N,h,w,K), (N,h,w,2) cells -> (N,h,w)."""
    offsets_K2 = _offsets(config.reach).to(found)
    inside = found.isfinite()
    share = (1 - (wanted[..., None, :] - offsets_K2).abs()).clamp_min(0).prod(-1) * inside
    share = share / share.sum(-1, keepdim=True).clamp_min(EMPTY)
    return -(share * (config.sharpness * found).log_softmax(-1).masked_fill(~inside, 0)).sum(-1)


def _offsets(reach: int) -> Tensor:
    """(K,2) int64 (row, col)."""
    steps = torch.arange(-reach, reach + 1)
    return torch.cartesian_prod(steps, steps)


def _windows(size: tuple[int, int], reach: int) -> tuple[Tensor, Tensor]:
    """Number of every place of each cell's window (S,K), and whether it lies in the frame; outside it is some other."""
    cells = torch.cartesian_prod(*(torch.arange(side) for side in size))
    places = cells[:, None] + _offsets(reach)
    last = torch.tensor(size) - 1
    inside = ((places >= 0) & (places <= last)).all(-1)
    places = places.clamp(torch.zeros_like(last), last)
    return places[..., 0] * size[1] + places[..., 1], inside
