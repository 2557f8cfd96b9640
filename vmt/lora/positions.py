"""Where the tokens of a clip that was made smaller for training sit in the whole one: adaptive RoPE.

Source: Follow-Your-Motion, section 3.4, arXiv:2506.05207, of frames alone; rows and columns are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import check_choice

ROPES = ("ends", "tokens", "none")


@dataclass(frozen=True)
class Positions:
    """Rotary positions of a sample's tokens: of latent frame t scale_t * t; of row or column n scale * n + shift."""

    scale_t: float = 1.0
    scale: float = 1.0
    shift: float = 0.0


AS_THEY_ARE = Positions()


def frame_scale(num_frames: int, num_sparse: int, rope: str = "ends") -> float:
    """What latent frame numbers of a clip that was thinned out in time are multiplied by; 1 or more.

    The paper's factor F / F_s counts frames; rotary positions count latent frames, of which the first stands for one
    video frame, so the factor that puts both ends where the full clip has them is (F_lat - 1) / (F_s,lat - 1).

    Args:
        num_frames, num_sparse: video frames of both, each 4n+1; a single frame has no second to place and gives 1.
        rope: "ends": both ends sit where the full clip has them; "tokens": the paper's ratio, of latent frames; "none":
            frames sit close together, 1.
    """
    check_choice("rope", rope, ROPES)
    latent, sparse = (num_frames - 1) // 4 + 1, (num_sparse - 1) // 4 + 1
    if rope == "none" or sparse == 1:
        return 1.0
    return (latent - 1) / (sparse - 1) if rope == "ends" else latent / sparse


def half_positions(scale_t: float = 1.0, rope: str = "ends") -> Positions:
    """Of the tokens of a clip at half the height and width, each of which stands for two rows and two columns.

    Args:
        scale_t: of its frames. rope: "ends": each in the middle of those that it stands for; "tokens": by the ratio of
            their numbers, where the first of them is; "none": close together.
    """
    check_choice("rope", rope, ROPES)
    if rope == "none":
        return Positions(scale_t)
    return Positions(scale_t, 2.0, 0.5 if rope == "ends" else 0.0)
