"""What it costs to tune a model to a clip, step by step, beside a LoRA of the whole clip."""

from __future__ import annotations

from functools import cache

from ..demo.wan_dit import WanShape
from ..lora.presets import PRESETS, TunerConfig
from ..lora.sparse_frames import auto_stride, sparse_frames
from ..lora.tune import HELD_OUT, TuneConfig
from .fake_wan import Cost, FakeWan

HEADS = {"decoupled": 0.5, "all": 1.0}  # share that a branch reaches
WHOLE_CLIP = TunerConfig(spatial_steps=0, heads="all", stride=1, motion_weight=0.0)


def tuned(shape: WanShape, num_frames: int, size: tuple[int, int], config: TunerConfig, kept: str) -> Cost:
    """All steps of a tuning that does not end early, and its looks at held-out draws.

    Args:
        num_frames: 4n+1. size: height and width in pixels. kept: see `FakeWan.gradient`.
    """
    stride = config.stride or auto_stride(num_frames)
    total = Cost()
    for frames, steps in ((1, config.spatial_steps), (len(sparse_frames(num_frames, stride)), config.temporal_steps)):
        if steps:
            step, look = _passes(shape, frames, size, HEADS[config.heads], config.rank, kept)
            looks = -(-steps // TuneConfig.check_every)  # one at the last step too
            total = total + step * steps + look * (HELD_OUT * looks)
    return total


@cache
def _passes(
    shape: WanShape, frames: int, size: tuple[int, int], share: float, rank: int, kept: str
) -> tuple[Cost, Cost]:  # fmt: skip
    """A step of training and a pass without one; counted once for all presets, which differ in their number."""
    wan = FakeWan(shape, ((frames - 1) // 4 + 1, *(side // 8 for side in size)))
    return wan.tuning_step(share, rank, kept), wan.forward()


def rows(shape: WanShape, num_frames: int, size: tuple[int, int], kept: str) -> dict[str, Cost]:
    """The presets, and as many steps on every frame in every head as the preset standard makes on the thinned clip."""
    configs = {f"tune_{name}": config for name, config in PRESETS.items()} | {"tune_whole_clip": WHOLE_CLIP}
    return {name: tuned(shape, num_frames, size, config, kept) for name, config in configs.items()}
