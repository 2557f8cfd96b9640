"""The latent flow of a clip in what a LoRA file says of itself.

Not among its tensors: of those the stock loaders warn, one by one, that they fit no weight. As float16 it takes some
hundred kB at 81 frames of 480x832.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..signals.attention_flow import AttentionFlowConfig
from ..signals.frame_pairs import frame_pairs
from ..signals.latent_flow import LatentFlow, matched_size
from ..token_grid import TokenGrid

GRID, SPAN, WEIGHT = "flow_grid", "flow_span", "flow_weight"
DISPLACEMENT, CONFIDENCE = "flow_displacement", "flow_confidence"


def written_flow(flow: LatentFlow) -> dict[str, str]:
    """As a file says it; displacement and confidence rounded to float16, 1/128 of a cell at 8 cells and more."""
    grid = flow.grid
    return {
        GRID: f"{grid.frames} {grid.height} {grid.width}", SPAN: str(flow.config.span), WEIGHT: flow.config.weight,
        DISPLACEMENT: _written(flow.displacement), CONFIDENCE: _written(flow.confidence),
    }  # fmt: skip


def read_flow(about: Mapping[str, str]) -> LatentFlow | None:
    """What `written_flow` wrote, float32; None if a file says nothing of it.

    Raises:
        InputError: a part is missing, has another size than the rest tells, or is no finite number.
    """
    if GRID not in about:
        return None
    try:
        grid = TokenGrid(*(int(number) for number in about[GRID].split()))
        config = AttentionFlowConfig(span=int(about[SPAN]), weight=about[WEIGHT])
        if max(grid.frames, config.span) > len(about[DISPLACEMENT]):  # before a list of all pairs is made
            raise ValueError(f"{grid.frames} latent frames, {config.span} apart, in {len(about[DISPLACEMENT])} bytes")
        pairs = frame_pairs(grid.frames, config.span)
        size = len(pairs), *matched_size(grid)
        displacement, confidence = _read(about[DISPLACEMENT], *size, 2), _read(about[CONFIDENCE], *size)
    except (KeyError, ValueError, TypeError, binascii.Error) as error:
        raise InputError(
            f"The latent flow in a LoRA file cannot be read ({type(error).__name__}: {error}); one as the tuner wrote "
            "it is needed. Tune the clip again, or copy the file anew."
        ) from error
    return LatentFlow(grid, config, pairs, displacement, confidence)


def _written(tensor: Tensor) -> str:
    return b64encode(tensor.cpu().numpy().astype("<f2").tobytes()).decode("ascii")


def _read(told: str, *shape: int) -> Tensor:
    held = np.frombuffer(b64decode(told, validate=True), "<f2").astype(np.float32).reshape(shape)
    if not np.isfinite(held).all():
        raise ValueError("NaN or infinity")
    return torch.from_numpy(held)
