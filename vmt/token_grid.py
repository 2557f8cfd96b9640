"""The token grid of a video transformer; the only place that knows how tokens are ordered.

Order is frame-major, then row-major: token n = f*S + y*w + x with S = h*w tokens per frame.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import InputError


@dataclass(frozen=True)
class TokenGrid:
    """Sizes in tokens: `frames` latent frames of `height` x `width` tokens (Wan: one token = 16 x 16 pixels)."""

    frames: int
    height: int
    width: int

    def __post_init__(self):
        if min(self.frames, self.height, self.width) < 1:
            raise InputError(
                f"A token grid of {self} has no tokens; frames, height and width must each be at least 1. "
                "Use a longer or larger clip."
            )

    @classmethod
    def from_latent_shape(cls, shape, patch=(1, 2, 2)) -> "TokenGrid":
        """Grid of a latent (..., F, h, w) after patching; sizes that do not divide are padded up, as the host does.

        Raises:
            InputError: the shape has fewer than three axes.
        """
        if len(shape) < 3:
            raise InputError(
                f"A latent of shape {tuple(shape)} is no video latent; (batch, channels, frames, height, width) "
                "is needed. Encode a clip with the VAE of the video model."
            )
        return cls(*(-(-int(size) // step) for size, step in zip(shape[-3:], patch, strict=True)))

    @property
    def per_frame(self) -> int:
        """S, tokens of one frame."""
        return self.height * self.width

    @property
    def num_tokens(self) -> int:
        """N = frames * S."""
        return self.frames * self.per_frame

    def positions(self, device=None, dtype=torch.float32) -> Tensor:
        """(S, 2) absolute (row, col) of each token of one frame, in tokens."""
        rows = torch.arange(self.height, device=device, dtype=dtype)
        cols = torch.arange(self.width, device=device, dtype=dtype)
        return torch.stack(torch.meshgrid(rows, cols, indexing="ij"), dim=-1).reshape(-1, 2)

    def split_frames(self, tokens: Tensor) -> Tensor:
        """(B, N, ...) to (B, F, S, ...); a view.

        Raises:
            InputError: N is not the number of tokens of this grid.
        """
        if tokens.ndim < 2 or tokens.shape[1] != self.num_tokens:
            raise InputError(
                f"{tuple(tokens.shape)} tokens do not fit a {self} token grid, which has {self.num_tokens} of them "
                "along axis 1. Use the same size and frame count for the reference and the generated video."
            )
        return tokens.unflatten(1, (self.frames, self.per_frame))

    def __str__(self) -> str:
        return f"{self.frames}x{self.height}x{self.width}"
