"""What a whole run costs: the passes that a schedule makes, each counted by `FakeWan`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..guidance.config import GuidanceConfig
from ..guidance.presets import Preset
from ..signals.attention_flow import AttentionFlowConfig
from .fake_wan import Cost, FakeWan

RELEASE_BLOCK, RELEASE_BLOCKS, RELEASE_GRADIENTS = 14, 20, 4  # tapped; run; of 10 inner steps, every third
FLOWMOTION_STEPS = 3  # Adam's, each a forward for both prompts
PUBLISHED_SHARE = 0.2  # of the steps


def plain(wan: FakeWan, steps: int, prompts: int) -> Cost:
    return wan.forward() * (steps * prompts)


def guided(
    wan: FakeWan, levels: Sequence[float], prompts: int, preset: Preset, blocks: tuple[int, ...],
    flow: AttentionFlowConfig, kept: str,
) -> Cost:  # fmt: skip
    """A run with motion guidance, the look at its reference included.

    Args:
        levels: noise levels of the run's steps. prompts: passes of an unguided step, 2 with a negative prompt.
        blocks: tapped. kept: see `FakeWan.gradient`.
    """
    config = preset.attention
    chosen, gradients = gradients_of(config, levels)
    _, of_latents = gradients_of(preset.latent, levels, needs_prediction=True)
    cost = plain(wan, len(levels), prompts) + wan.cut(blocks) + wan.cut(blocks, half=True)
    cost = cost + wan.latent_gradient(flow) * of_latents
    if gradients:
        one = wan.gradient(blocks, flow, kept, half=config.size == "half", both_ways=config.both_ways)
        cost = cost + one * gradients
    if not config.look_ahead:
        return cost
    if config.share_forward:  # the first step of a run has no prediction before it
        gradients = gradients if chosen and chosen[0] == levels[0] else 0
        gradients //= max(1, len(chosen))
    return cost + wan.forward() * gradients


def gradients_of(
    config: GuidanceConfig, levels: Sequence[float], needs_prediction: bool = False
) -> tuple[list[float], int]:
    """The noise levels that are guided, and how many gradients that takes."""
    chosen = config.guided_levels(levels, needs_prediction)
    return chosen, len(chosen) * math.ceil(config.inner_steps / config.recompute_every)


def fastvmt_release(wan: FakeWan, steps: int, prompts: int, flow: AttentionFlowConfig) -> Cost:
    """The released code of FastVMT (arXiv 2602.05551).

    The reference is looked at again at each guided step, 20 blocks are run for a loss on the 15th, and checkpoints are
    nested in two.
    """
    guided_steps = round(PUBLISHED_SHARE * steps)
    gradient = wan.gradient((RELEASE_BLOCK,), flow, "nested", RELEASE_BLOCKS)
    step = wan.cut((RELEASE_BLOCK,), RELEASE_BLOCKS) + gradient * RELEASE_GRADIENTS
    return plain(wan, steps, prompts) + step * guided_steps


def flowmotion(wan: FakeWan, steps: int, prompts: int) -> Cost:
    """FlowMotion (arXiv 2603.06289): at each guided step both prompts on the reference, and on each inner step."""
    extra = round(PUBLISHED_SHARE * steps) * prompts * (1 + FLOWMOTION_STEPS)
    return plain(wan, steps, prompts) + wan.forward() * extra
