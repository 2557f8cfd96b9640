"""Control: the reference backwards. Its figures against the forward one are those of the opposite motion."""

from .balanced import METHOD as BALANCED
from .method import Method

METHOD = Method("guided by the reference backwards", BALANCED.graph, lambda frames, rng: frames.flip(0), control=True)
