"""What is measured of the reference video once: queries and keys of a few attention blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from .errors import InputError, check_choice
from .token_grid import TokenGrid

if TYPE_CHECKING:
    from .signals.matching import CoarseMatch


@dataclass
class MotionFeatures:
    """Queries and keys of the reference, with all that is needed to compare a generated video to them.

    Raises:
        InputError: shapes do not agree with the grid or with each other.
    """

    grid: TokenGrid
    queries: dict[int, Tensor]  # block index -> (1, N, heads, D), after q/k-norm; fp32, or fp16 to save memory
    keys: dict[int, Tensor]  # same blocks, same shapes
    rope: Literal["pre", "post"]  # positions not yet, or already, rotated into q and k
    sigma: float  # noise level of the reference they were taken at, 0..1
    latent: Tensor  # clean reference latent in model space (1, 16, F, h, w)
    model: str  # short description of the model (class and sizes), for mismatch errors
    matches: dict[int, CoarseMatch] = field(default_factory=dict)  # optional, block -> whole-frame matches
    half: MotionFeatures | None = None  # the same clip at half height and width, where it is large enough

    def __post_init__(self):
        check_choice("rope", self.rope, ("pre", "post"))
        if not self.queries or sorted(self.queries) != sorted(self.keys):
            raise InputError(
                f"Queries of blocks {sorted(self.queries)} and keys of blocks {sorted(self.keys)} were given; both "
                "must name the same blocks, at least one. Run Windowed Inversion again."
            )
        for block, queries in self.queries.items():
            keys = self.keys[block]
            if queries.ndim != 4 or queries.shape != keys.shape or queries.shape[:2] != (1, self.grid.num_tokens):
                raise InputError(
                    f"Block {block} has queries {tuple(queries.shape)} and keys {tuple(keys.shape)}; both must be "
                    f"(1, {self.grid.num_tokens}, heads, channels) for a {self.grid} token grid. "
                    "Run Windowed Inversion again with a single reference video."
                )

    @property
    def blocks(self) -> tuple[int, ...]:
        """Tapped blocks, in ascending order."""
        return tuple(sorted(self.queries))

    def get_ram_usage(self) -> int:
        """Bytes held by queries, keys and latents; a host's memory-bound cache asks for it under this name."""
        tensors = [*self.queries.values(), *self.keys.values(), self.latent]
        return sum(tensor.nbytes for tensor in tensors) + (self.half.get_ram_usage() if self.half else 0)
