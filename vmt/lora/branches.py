"""Low-rank updates of the video self-attention that reach some heads only: the branches of a decoupled LoRA.

A branch adds B A x to q, k and v in the rows of its heads, and to the output projection from their columns. That equals
layers split by head, without rebuilding any; the model's weights and biases stay as they are.
Source: Follow-Your-Motion, section 3.2, arXiv:2506.05207. Approximate in one way: Wan norms q and k over all heads
together, so an update of some heads rescales the others a little.
Legend: C channels, r rank, H channels of the branch's heads.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError

PARTS = ("q", "k", "v", "o")
SPATIAL, TEMPORAL = "spatial", "temporal"


class PartLora(nn.Module):
    """The update of one projection. `own`: (H,) numbers of the channels of the branch's heads, ascending."""

    def __init__(self, part: str, own: Tensor, channels: int, rank: int, generator: torch.Generator | None = None):
        super().__init__()
        self.reads_own, self.channels = part == "o", channels
        self.register_buffer("own", own, persistent=False)
        inside, outside = (len(own), channels) if self.reads_own else (channels, len(own))
        self.down = nn.Parameter(torch.empty(rank, inside))
        self.up = nn.Parameter(torch.zeros(outside, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5), generator=generator)

    def add_to(self, y: Tensor, x: Tensor, strength: float) -> Tensor:
        """y (..., C), the projection's result of x (..., C), with the update, in y's dtype."""
        # float16 is computed in float32: its gradients would vanish.
        dtype = torch.float32 if x.dtype == torch.float16 else x.dtype
        every = len(self.own) == self.channels
        x = x.index_select(-1, self.own) if self.reads_own and not every else x
        change = strength * F.linear(F.linear(x.to(dtype), self.down.to(dtype)), self.up.to(dtype))
        if self.reads_own or every:
            return y + change.to(y.dtype)
        return y.index_add(-1, self.own, change.to(y.dtype))

    def folded(self) -> tuple[Tensor, Tensor]:
        """down (r,C) and up (C,r) of the ordinary LoRA that does the same."""
        whole = self.down.new_zeros
        if self.reads_own:
            return whole(len(self.down), self.channels).index_copy(1, self.own, self.down.detach()), self.up.detach()
        return self.down.detach(), whole(self.channels, self.up.shape[1]).index_copy(0, self.own, self.up.detach())


def check_rank(rank: int, heads: Tensor, channels: int) -> None:
    """Raises InputError for a rank that a branch of `heads` (blocks, N) bool cannot have. channels: C, of all heads."""
    per_head = channels // heads.shape[1]
    least = per_head * int(heads.sum(1)[heads.any(1)].min()) if heads.any() else 0
    if not 1 <= rank <= least:
        raise InputError(
            f"Rank {rank} was asked for; 1 to {least} are allowed, the channels of the fewest heads that a block "
            "has of one kind. Choose one of these; 12 does for most motions."
        )


class BranchLora(nn.Module):
    """A low-rank update of the self-attention of every block, in the rows or columns of some heads.

    Args:
        heads: (blocks, N) bool, the heads that it reaches; a block without any is left out. channels: C, of all heads.
        rank: r. seed: of the random half of the update; the other half is zero, so a new branch changes nothing.
    Raises:
        InputError: a rank that the layers do not have.
    """

    def __init__(self, heads: Tensor, channels: int, rank: int, seed: int = 0):
        super().__init__()
        check_rank(rank, heads, channels)
        per_head = channels // heads.shape[1]
        self.heads, self.rank = heads, rank
        self.strength = 1.0  # of what the branch adds; 0: it is left out
        self.parts, generator = nn.ModuleDict(), torch.Generator().manual_seed(seed)
        for block, chosen in enumerate(heads):
            own = chosen.repeat_interleave(per_head).nonzero()[:, 0]
            for part in PARTS if len(own) else ():
                self.parts[f"{block}_{part}"] = PartLora(part, own, channels, rank, generator)

    def add_to(self, y: Tensor, x: Tensor, block: int, part: str) -> Tensor:
        """y (..., C), what projection `part` of a block gave for x (..., C), with the branch's update."""
        key = f"{block}_{part}"
        if self.strength == 0 or key not in self.parts:
            return y
        return self.parts[key].add_to(y, x, self.strength)
