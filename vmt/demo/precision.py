"""In which numbers the demo model is trained and drawn."""

from __future__ import annotations

import torch


def multiplies_bfloat16(device: str | torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32: a CPU does with instructions of its own for it."""
    if torch.device(device).type == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return True


def fast(device: str | torch.device, enabled: bool = True) -> torch.autocast:
    """Autocast to bfloat16 where that is faster; elsewhere, or where not enabled, a context that changes nothing."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled and multiplies_bfloat16(device))
