"""Control: the reference's frames in another order. Whether the order of the frames matters."""

import torch

from .balanced import METHOD as BALANCED
from .method import Method


def shuffled(frames, rng):
    return frames[torch.tensor(rng.sample(range(len(frames)), len(frames)))]


METHOD = Method("guided by the reference's frames in random order", BALANCED.graph, shuffled, control=True)
