"""Sparse motion sampling: a clip thinned out in time for training.

Source: Follow-Your-Motion, section 3.4, arXiv:2506.05207. The paper does not say which frames are taken and its public
code takes none out; here they are evenly spread and begin with the first.

What is thinned out may be the clip's latent, or, as in the paper, its video frames before the VAE. A latent frame holds
four video frames and how things move among them: of thinned-out video frames, faster than in any video that is sampled
afterwards. Latent frames that stay are those of the whole clip.
"""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from ..errors import InputError, check_choice

SPARSE = ("latents", "frames")  # what is thinned out
TRIES = 16  # for each phase that is wanted: of few frames there are fewer phases than that


def sparse_frames(num_frames: int, stride: int, phase: float = 0.0) -> Tensor:
    """Numbers of the frames that stay, ascending int64: both ends, 4n+1 in all, about every `stride`-th.

    Args:
        num_frames: T = 4n+1, 5 or more. stride: 1 keeps all.
        phase: -1 to 1, how far the frames between the ends are moved, in halves of the distance of two that stay.
    Raises:
        InputError: T is not 4n+1, or too short for the stride.
    """
    groups = max(1, round(_latent_steps(num_frames, stride) / stride))
    places = torch.linspace(0, num_frames - 1, 4 * groups + 1, dtype=torch.float64)
    step = (num_frames - 1) / (4 * groups)
    # At least one frame stays between those that are moved and the ends, which are not.
    places[1:-1] += max(-1.0, min(1.0, phase)) * min(step / 2, step - 1)
    return (places + 0.5).floor().long()  # all halves the same way, or frames would lie unevenly


def sparse_latents(num_frames: int, stride: int) -> Tensor:
    """Numbers of the latent frames that stay, ascending int64: the first, and from it on every `stride`-th.

    They lie evenly, so a factor puts each exactly where the whole clip has it; where no stride ends at the last one,
    fewer than a stride are left over.

    Args, Raises: as `sparse_frames`.
    """
    return torch.arange(0, _latent_steps(num_frames, stride) + 1, stride)


def num_sparse(num_frames: int, stride: int, sparse: str = "latents") -> int:
    """How many video frames, 4n+1, have as many latent frames as stay of the clip.

    Args:
        sparse: "latents" or "frames", what is thinned out.
    Raises:
        InputError: as `sparse_frames`, or for another `sparse`.
    """
    check_choice("sparse", sparse, SPARSE)
    if sparse == "frames":
        return len(sparse_frames(num_frames, stride))
    return 4 * (len(sparse_latents(num_frames, stride)) - 1) + 1


def _latent_steps(num_frames: int, stride: int) -> int:
    """How many latent frames follow the first one. Raises: as `sparse_frames`."""
    if num_frames < 5 or num_frames % 4 != 1:
        raise InputError(
            f"The reference has {num_frames} frames; tuning needs 4n+1, at least 5. Load Reference Video gives such a "
            "clip."
        )
    if stride < 1 or stride > (num_frames - 1) // 4:
        raise InputError(
            f"Frame stride {stride} leaves fewer than 5 of {num_frames} frames; 1 to {(num_frames - 1) // 4} are "
            "allowed. Choose a lower stride, or load a longer clip."
        )
    return (num_frames - 1) // 4


def sparse_phases(num_frames: int, stride: int, number: int, rng: Random) -> list[Tensor]:
    """Choices of `sparse_frames`, no two the same: the even one, then others at phases drawn from `rng`.

    Returns:
        `number` of them; fewer where the stride does not have so many.
    Raises:
        InputError: as `sparse_frames`.
    """
    found = [sparse_frames(num_frames, stride)]
    for _ in range(TRIES * number):
        if len(found) == number:
            break
        chosen = sparse_frames(num_frames, stride, rng.uniform(-1, 1))
        if not any(torch.equal(chosen, other) for other in found):
            found.append(chosen)
    return found


def auto_stride(num_frames: int, sparse: str = "latents") -> int:
    """The stride that leaves about 17 frames, the paper's number; of several, the one that leaves the fewest over.

    Args, Raises: as `num_sparse`.
    """
    last = (num_frames - 1) // 4
    return min(
        range(1, last + 1), key=lambda stride: (abs(num_sparse(num_frames, stride, sparse) - 17), last % stride),
        default=1,
    )  # fmt: skip
