"""Attention motion flow (AMF): the displacement of every token between nearby frames, read off q and k.

The reference is measured once (`extract`); a generated video is compared with it inside the same windows
(`attention_flow_loss`), so the two fields are comparable and no window index needs a gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ..errors import InputError
from ..features import MotionFeatures
from ..token_grid import TokenGrid
from .displacement import hard_displacement, soft_displacement
from .frame_pairs import frame_pairs
from .matching import MEMORY_LIMIT, CoarseMatch, coarse_match
from .weights import WEIGHTS, loss_weights
from .windows import window_centres, window_holds, window_size

if TYPE_CHECKING:
    from .latent_flow import LatentFlow

__all__ = [
    "AttentionFlow", "AttentionFlowConfig", "BlockFlow",
    "attention_flow_loss", "extract", "frame_pairs", "mask_of_pairs", "window_centres",
]  # fmt: skip

CENTRES = ("match", "trusted", "own")
# Nats by which a match must beat the token's own place to centre a window. Measured on the demo model at noise level
# .5: 90 % of the tokens of moving things lie above 1.3 (blocks 4 and 5), 95 % of those of a still ground below .96.
TRUSTED_GAIN = 1.0


@dataclass(frozen=True)
class AttentionFlowConfig:
    """How the AMF is measured. Defaults are what transferred best on the demo model.

    FastVMT's published setting (arXiv 2602.05551) is span=3, tile=(3, 4), radius=round(min(height, width) / 3),
    centre="match" and weight="none"; DiTFlow's (2412.07776) is temperature=2, radius=None and target="argmax".
    """

    temperature: float = 1.0  # sharpness of the match, > 0
    span: int = 2  # frame distances 1..span, in latent frames
    radius: int | None = 2  # window of 2*radius+1 tokens a side; None = the whole frame
    tile: tuple[int, int] = (1, 1)  # (rows, cols) of tokens that share one window
    centre: Literal["match", "trusted", "own"] = "own"  # window around the best match, or around the own place
    heads: Literal["mean_logits", "mean_flow"] = "mean_logits"  # average the heads' logits, or their displacements
    head_indices: tuple[int, ...] | None = None  # heads to use; None = all
    target: Literal["soft", "argmax"] = "soft"  # reference displacement: expectation, or the best match
    weight: Literal["motion", "none", "confidence", "motion_confidence"] = "motion"  # which tokens count more

    def __post_init__(self):
        self._check("temperature", self.temperature > 0, "above 0")
        self._check("span", self.span >= 1, "1 or more latent frames")
        self._check("radius", self.radius is None or self.radius >= 0, "0 or more tokens, or None for the whole frame")
        self._check("tile", len(self.tile) == 2 and min(self.tile) >= 1, "two sizes of 1 token or more")
        self._check("centre", self.centre in CENTRES, " or ".join(CENTRES))
        self._check("heads", self.heads in ("mean_logits", "mean_flow"), "mean_logits or mean_flow")
        self._check("target", self.target in ("soft", "argmax"), "soft or argmax")
        self._check("weight", self.weight in WEIGHTS, " or ".join(WEIGHTS))

    def at_half_size(self) -> "AttentionFlowConfig":
        """The same windows and tiles on the token grid of `half_size`, rounded up."""
        radius = None if self.radius is None else -(-self.radius // 2)
        return replace(self, radius=radius, tile=(-(-self.tile[0] // 2), -(-self.tile[1] // 2)))

    def _check(self, name: str, allowed: bool, rule: str) -> None:
        if not allowed:
            raise InputError(f"{name} is {getattr(self, name)!r}; {rule} is allowed. Change {name}.")


@dataclass
class BlockFlow:
    """The AMF of one attention block. P frame pairs, S tokens per frame."""

    centres: Tensor  # (P, S, 2) int16, window centres (row, col) on the token grid of frame j
    displacement_tok: Tensor  # (P, S, 2) float32 (row, col) from frame i to frame j; +row down, +col right
    confidence: Tensor  # (P, S) float32, 0..1
    centres_back: Tensor  # (P, S, 2) int16, of the windows in frame i that tokens of frame j are looked for in
    displacement_back_tok: Tensor  # (P, S, 2) float32, of the tokens of frame j, to frame i

    @property
    def both_ways_tok(self) -> Tensor:
        """(P, S, 2) half the difference of what leaves a place and what comes back to it."""
        return (self.displacement_tok - self.displacement_back_tok) / 2


@dataclass
class AttentionFlow:
    """The AMF of a reference video: what guidance makes a generated video follow."""

    grid: TokenGrid
    config: AttentionFlowConfig
    pairs: Tensor  # (P, 2) int64, frames (i, j) with i < j
    blocks: dict[int, BlockFlow]
    rope: Literal["pre", "post"]
    sigma: float  # noise level of the reference it was measured at
    model: str
    latent: "LatentFlow | None" = None  # the same motion read in the reference's latent
    half: "AttentionFlow | None" = None  # measured at half height and width, see `half_size`

    def of_blocks(self, blocks: Sequence[int] | None) -> "AttentionFlow":
        """The same on these blocks alone (None or empty: all). Raises InputError if it was not taken on one of them."""
        missing = sorted(set(blocks or ()) - set(self.blocks))
        if missing:
            raise InputError(
                f"Blocks {missing} were asked for, the AMF was taken on blocks {sorted(self.blocks)}. Choose among "
                "these, or run Windowed Inversion with more blocks."
            )
        if not blocks:
            return self
        held = {block: found for block, found in self.blocks.items() if block in blocks}
        return replace(self, blocks=held, half=self.half and self.half.of_blocks(blocks))


@torch.no_grad()
def extract(
    features: MotionFeatures, config: AttentionFlowConfig | None = None, device: torch.device | str | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> AttentionFlow:  # fmt: skip
    """Measure the attention motion flow of a reference.

    Confidence of a token is the whole-frame probability of its best match and that match's neighbours, times how well
    matching back returns to the token, and 0 if the best match lies outside the window the token was given (possible
    only with tiles of several tokens). Content that leaves the frame, or is hidden, therefore scores low.
    Features of the clip at half size give the flow's `half`.

    Args:
        device: where to compute; None = where the features are. The result is on the CPU.
    Raises:
        InputError: fewer than two latent frames, or heads that do not exist.
        StateError: features hold NaN or infinity.
    Source: FastVMT, arXiv 2602.05551, attention motion flow; DiTFlow, arXiv 2412.07776, with radius None.
    """
    config = config or AttentionFlowConfig()
    grid, pairs = features.grid, frame_pairs(features.grid.frames, config.span)
    window = window_size(grid, config.radius)
    blocks = {}
    for block in features.blocks:
        queries, keys = (held[block].to(device=device) for held in (features.queries, features.keys))
        matched = partial(
            coarse_match, queries, keys, grid=grid, temperature=config.temperature, head_indices=config.head_indices,
            memory_limit=memory_limit,
        )  # fmt: skip
        coarse = features.matches.get(block)
        if coarse is None or not coarse.fits(pairs, config.temperature, config.head_indices):
            coarse = matched(pairs=pairs)
        # Around its own place a token is looked for wherever it goes, and the way back needs no match of its own.
        coarse_back = coarse if config.centre == "own" else matched(pairs=pairs.flip(1))
        centres, centres_back = (
            window_centres(_middles(one, config.centre), grid, config.radius, config.tile)
            for one in (coarse, coarse_back)
        )
        rule = {"head_indices": config.head_indices, "per_head": config.heads == "mean_flow"}
        if config.target == "soft":
            rule["temperature"] = config.temperature
        measure = soft_displacement if config.target == "soft" else hard_displacement
        there, back = (
            measure(queries, keys, *way, window, grid, memory_limit=memory_limit, **rule)[0].float().cpu()
            for way in ((pairs, centres), (pairs.flip(1), centres_back))
        )
        inside = window_holds(coarse.match, centres, window, grid)
        blocks[block] = BlockFlow(centres, there, coarse.peak * coarse.consistency * inside, centres_back, back)
    half = features.half and extract(features.half, config.at_half_size(), device, memory_limit)
    return AttentionFlow(grid, config, pairs, blocks, features.rope, features.sigma, features.model, half=half)


def _middles(coarse: CoarseMatch, centre: str) -> Tensor:
    """(P, S) token in frame j that each token's window lies around.

    Where a ground is alike everywhere the best match is anywhere. "trusted" takes a match only where it is clearly
    likelier than the token's own place, and otherwise looks around that place, as if nothing moved there.
    """
    own = torch.arange(coarse.match.shape[1], dtype=coarse.match.dtype).expand_as(coarse.match)
    if centre == "own":
        return own
    if centre == "match":
        return coarse.match
    return torch.where(coarse.gain > TRUSTED_GAIN, coarse.match, own)


def attention_flow_loss(
    flow: AttentionFlow, queries: dict[int, Tensor], keys: dict[int, Tensor], mask: Tensor | None = None,
    memory_limit: int = MEMORY_LIMIT, both_ways: bool = False,
) -> Tensor:  # fmt: skip
    """How far the motion of generated videos is from the reference's, per video.

    loss = sum_ij w_ij sum_s c_ij(s) |d_gen - d_ref|^2 / (h w sum_ij w_ij sum_s c_ij(s)), averaged over blocks

    Dividing by h*w turns tokens into fractions of the frame, and the weights are normalised: the value does not depend
    on resolution, clip length or mask area. 0.01 means motion is off by about a tenth of the frame.

    Args:
        queries, keys: block -> (B, F*S, heads, D) of the generated videos; all blocks of `flow` must be there.
        mask: optional token weights >= 0 on frame i: (h, w), (F, h, w) or flattened; None = everywhere.
        both_ways: d is `BlockFlow.both_ways_tok`, and the same of the generated videos. An expectation over a window
            leans to the middle of the frame at its borders, there and back alike: a still frame seems to shrink, and
            one that zooms in to stand still. Half the difference is free of it.
    Returns:
        (B,) float32 (float64 for float64 input).
    Gradient: to queries and keys.
    Raises:
        InputError: a block is missing, the grid differs, or the mask does not fit or is empty.
    Source: DiTFlow, arXiv 2412.07776, and FastVMT, arXiv 2602.05551. Differs: normalised, and tokens are weighted;
        reading both ways is ours.
    """
    missing = sorted(set(flow.blocks) - (set(queries) & set(keys)))
    if missing:
        raise InputError(
            f"The AMF was measured on blocks {sorted(flow.blocks)}, but queries and keys of blocks {missing} did not "
            "come. Extract the AMF again with this model, or take other attention nodes off the MODEL line."
        )
    config = flow.config
    window = window_size(flow.grid, config.radius)
    of_pairs = None if mask is None else mask_of_pairs(mask, flow.grid, flow.pairs)
    losses = []
    for block, reference in flow.blocks.items():
        pairs, centres, target_PS2 = flow.pairs, reference.centres, reference.displacement_tok
        if both_ways:
            pairs, centres = torch.cat([pairs, pairs.flip(1)]), torch.cat([centres, reference.centres_back])
            target_PS2 = reference.both_ways_tok
        moved_BPS2 = soft_displacement(
            queries[block], keys[block], pairs, centres, window, flow.grid, memory_limit=memory_limit,
            temperature=config.temperature, head_indices=config.head_indices, per_head=config.heads == "mean_flow",
        )  # fmt: skip
        if both_ways:
            there, back = moved_BPS2.chunk(2, 1)
            moved_BPS2 = (there - back) / 2
        weight_PS = loss_weights(config.weight, config.span, flow.pairs, target_PS2, reference.confidence, of_pairs)
        error_BPS = (moved_BPS2 - target_PS2.to(moved_BPS2)).square().sum(-1)
        losses.append((error_BPS * weight_PS.to(moved_BPS2)).sum((1, 2)) / flow.grid.per_frame)
    return torch.stack(losses).mean(0)


def mask_of_pairs(mask: Tensor, grid: TokenGrid, pairs: Tensor) -> Tensor:
    """(P, S) float32 weights of the frames i of pairs; a mask of one frame serves all.

    Raises:
        InputError: it does not fit the grid, or is empty.
    """
    if mask.numel() not in (grid.per_frame, grid.num_tokens):
        raise InputError(
            f"The mask has shape {tuple(mask.shape)}; ({grid.height}, {grid.width}) or {grid} tokens are allowed. "
            "Resize it to the token grid of the reference."
        )
    mask_FS = mask.detach().float().cpu().reshape(-1, grid.per_frame).expand(grid.frames, -1)
    of_pairs = mask_FS[pairs[:, 0]]
    if not (of_pairs >= 0).all() or of_pairs.sum() == 0:
        raise InputError(
            "The mask is empty or holds negative or NaN values; at least one token must weigh more than 0, and not in "
            "the last frame alone, which no frame comes after. Paint the region to follow, or disconnect the mask."
        )
    return of_pairs
