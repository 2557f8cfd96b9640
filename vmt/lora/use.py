"""How a motion LoRA is used while sampling: above which noise level, and with which latent flow beside it.

A thing's way is decided at high noise: below, the LoRA has nothing to add. A ground under a moving camera shows itself
at lower noise, where the LoRA has not learned and the model lets it stand. There the clip's latent flow guides, which
takes no pass through the model; it is small enough for the LoRA's file to hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..signals.latent_flow import LatentFlow
from .flow_in_file import read_flow, written_flow

LEARNED_ABOVE = "setting_sigma_end"  # in a file


@dataclass(frozen=True)
class Use:
    """sigma_end: the noise level above which the LoRA acts, 0..1; 0: everywhere. flow: the clip's, to guide by."""

    sigma_end: float = 0.0
    flow: LatentFlow | None = field(default=None, compare=False, repr=False)  # tensors: what is equal is not told

    def written(self) -> dict[str, str]:
        """As a file says it."""
        return {LEARNED_ABOVE: f"{self.sigma_end:g}", **(written_flow(self.flow) if self.flow else {})}


def use_in_file(about: Mapping[str, str]) -> Use:
    """What a file says; of one that does not say it, or in no number, everywhere.

    Raises:
        InputError: its flow is damaged.
    """
    return Use(_share(about.get(LEARNED_ABOVE, "0")), read_flow(about))


def _share(told: str) -> float:
    try:
        value = float(told)
    except ValueError:
        return 0.0
    return min(1.0, max(0.0, value)) if value == value else 0.0
