"""Control: the reference's first frame, held. Whether a figure rewards freezing."""

from .balanced import METHOD as BALANCED
from .method import Method

METHOD = Method(
    "guided by the reference's first frame, held",
    BALANCED.graph,
    lambda frames, rng: frames[:1].expand_as(frames).contiguous(),
    control=True,
)
