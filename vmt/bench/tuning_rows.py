"""What it costs to tune a model to a clip, step by step, beside a LoRA of the whole clip."""

from __future__ import annotations

from ..demo.wan_dit import WanShape
from ..lora.branches import SPATIAL, TEMPORAL
from ..lora.presets import PRESETS, TunerConfig
from ..lora.sparse_frames import auto_stride, num_sparse
from ..lora.tune import HELD_OUT, TuneConfig
from .fake_wan import TEXT_TOKENS, Cost, FakeWan
from .methods import (
    decoupled_lora_brisk,
    decoupled_lora_every_frame,
    decoupled_lora_no_half,
    decoupled_lora_no_spatial,
    decoupled_lora_own_heads,
    decoupled_lora_whole_size,
    decoupled_lora_whole_steps,
    dual_path,
    plain_lora,
)

WHOLE_CLIP = TunerConfig(**plain_lora.OPTIONS)
METHODS = {  # of the bench, with the steps that they have by the preset standard
    "whole_clip": WHOLE_CLIP,
    "dual_path": TunerConfig(**dual_path.OPTIONS),
    "brisk": TunerConfig(**decoupled_lora_brisk.OPTIONS),
    "whole_size": TunerConfig(**decoupled_lora_whole_size.OPTIONS),
    "whole_steps": TunerConfig(**decoupled_lora_whole_steps.OPTIONS),
    "no_half": TunerConfig(**decoupled_lora_no_half.OPTIONS),
    "every_frame": TunerConfig(**decoupled_lora_every_frame.OPTIONS),
    "own_heads": TunerConfig(**decoupled_lora_own_heads.OPTIONS),
    "no_spatial": TunerConfig(**decoupled_lora_no_spatial.OPTIONS),
}


def tuned(
    shape: WanShape, num_frames: int, size: tuple[int, int], config: TunerConfig, kept: str,
    text_tokens: int = TEXT_TOKENS,
) -> Cost:  # fmt: skip
    """All steps of a tuning that does not end early, and its looks at held-out draws.

    Args:
        num_frames: 4n+1. size: height and width in pixels. kept: see `FakeWan.gradient`. text_tokens: of the caption.
    """
    stride = config.stride or auto_stride(num_frames, config.sparse)
    # A decoupled branch reaches half of the heads, and the other one the others.
    temporal = shape.heads if config.heads == "all" else max(1, round(shape.heads / 2))
    spatial = shape.heads if config.heads == "all" else max(1, shape.heads - temporal)
    look = (spatial, config.rank_of(SPATIAL))
    frames = num_sparse(num_frames, stride, config.sparse)
    whole, half = (tuple(-(-side // pixels) for side in size) for pixels in (8, 16))  # in latent cells
    motion = (temporal, config.rank_of(TEMPORAL))
    beside = look if config.spatial_on and config.spatial_steps else None
    stages = [  # latent frames, sizes that take turns, steps, what learns and what stands
        (1, (whole, half) if config.half_steps else (whole,), config.spatial_steps, look, None),
        ((num_frames - 1) // 4 + 1, (half,), config.half_steps, motion, beside),
        ((frames - 1) // 4 + 1, (whole,), config.temporal_steps, motion, beside),
    ]
    total = Cost()
    for latent_frames, sizes, steps, trained, beside in stages:
        looks = HELD_OUT * -(-steps // TuneConfig.check_every)  # one at the last step too
        for number, cells in enumerate(sizes):
            taken, looked = ((n + len(sizes) - 1 - number) // len(sizes) for n in (steps, looks))
            if taken:
                wan = FakeWan(shape, (latent_frames, *cells), text_tokens)
                step, look_again = wan.tuning_step(*trained, kept, beside), wan.tuning_look(*trained, beside)
                total = total + step * taken + look_again * looked
    return total


def rows(
    shape: WanShape, num_frames: int, size: tuple[int, int], kept: str, text_tokens: int = TEXT_TOKENS
) -> dict[str, Cost]:  # fmt: skip
    """The presets, and methods of the bench with as many steps as the preset standard makes."""
    return {
        f"tune_{name}": tuned(shape, num_frames, size, config, kept, text_tokens)
        for name, config in {**PRESETS, **METHODS}.items()
    }
