"""Synthetic queries and keys whose motion is known exactly."""

import pytest
import torch

from vmt.features import MotionFeatures
from vmt.token_grid import TokenGrid


@pytest.fixture(scope="session")
def random_frame():
    """(h, w, heads, D) random features of unit RMS."""

    def make(height, width, heads=2, dim=64, seed=0):
        return torch.randn(height, width, heads, dim, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture(scope="session")
def features_of():
    """Features of a list of frames (h, w, heads, D), the same tensor as queries and keys, at block 0."""

    def make(frames, keys=None):
        grid = TokenGrid(len(frames), *frames[0].shape[:2])
        tokens = [torch.stack(list(some)).flatten(0, 2)[None] for some in (frames, keys or frames)]
        latent = torch.zeros(1, 16, grid.frames, 2 * grid.height, 2 * grid.width)
        return MotionFeatures(grid, {0: tokens[0]}, {0: tokens[1]}, "pre", 0.5, latent, "synthetic")

    return make


@pytest.fixture(scope="session")
def rolled(random_frame, features_of):
    """Features of a frame and of copies of it rolled by (rows, cols) from each frame to the next."""

    def make(height, width, shift, num_frames=2, **sizes):
        first = random_frame(height, width, **sizes)
        frames = [first.roll((n * shift[0], n * shift[1]), (0, 1)) for n in range(num_frames)]
        return features_of(frames)

    return make
