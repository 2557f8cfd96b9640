"""How long and how a reference is tuned: everything an artist may turn, and three sets of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError, check_choice
from .branches import SPATIAL
from .losses import DIRECTIONS, WEIGHTS
from .positions import ROPES
from .sparse_frames import SPARSE

HEADS = ("decoupled", "all")


@dataclass(frozen=True)
class TunerConfig:
    """Source of the fields: Follow-Your-Motion, section 3, arXiv:2506.05207; numbers of steps and rates are ours."""

    spatial_steps: int = 150  # on single frames; 0: no appearance branch
    temporal_steps: int = 0  # after those at half size, at the whole one on the sparse clip
    rank: int = 12
    heads: str = "all"  # "decoupled": each branch reaches heads of its own, as published
    learning_rate: float = 2e-3
    stride: int = 0  # every so many frames; 0: about as many latent frames as 17 video frames have
    stills: int = 8  # single frames to learn the look from
    phases: int = 3  # of thinned-out video frames: clips, each moved a little in time
    rope: str = "ends"  # where tokens of sparse frames and of a half-size clip sit, see `positions.py`
    motion_weight: float = 1.0
    motion_loss: str = "signed"
    level_weights: str = "flat"
    spatial_on: bool = True  # in the temporal stage; off is what the public code does by accident
    sigma_end: float = 0.8  # lowest noise level that motion is learned at
    patience: int = 6  # looks at held-out draws without a lower loss that end a stage; 0: never
    appearance_rank: int = 0  # of the appearance branch; 0: as rank
    sparse: str = "latents"  # what is thinned out; "frames": those of the video, as published
    half_steps: int = 400  # on every frame at half the height and width
    latent_flow: bool = True  # the clip's own guides beside the motion LoRA, see `use.py`; tuning is the same

    def __post_init__(self):
        check_choice("heads", self.heads, HEADS)
        check_choice("rope", self.rope, ROPES)
        check_choice("sparse", self.sparse, SPARSE)
        check_choice("motion loss", self.motion_loss, DIRECTIONS)
        check_choice("level weights", self.level_weights, WEIGHTS)
        if not 0 <= self.sigma_end < 1:
            raise InputError(
                f"Motion was to be learned down to noise level {self.sigma_end}; 0 or more, and less than 1, is "
                "allowed. Change sigma_end."
            )
        steps = (self.spatial_steps, self.half_steps, self.temporal_steps)
        if min(steps) < 0 or sum(steps) == 0:
            raise InputError(
                f"{self.spatial_steps} spatial, {self.half_steps} half-size and {self.temporal_steps} temporal steps "
                "were asked for; none may be below 0, and one must be above. Raise one of them."
            )

    def rank_of(self, branch: str) -> int:
        """The rank of the branch of that name, SPATIAL or TEMPORAL."""
        return self.appearance_rank or self.rank if branch == SPATIAL else self.rank


PRESETS = {
    "draft": TunerConfig(spatial_steps=60, half_steps=150),
    "standard": TunerConfig(),
    "thorough": TunerConfig(spatial_steps=400, half_steps=1200, learning_rate=1e-3),
}
