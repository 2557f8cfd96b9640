"""In which numbers the demo model is trained and drawn."""

from __future__ import annotations

import sys

import torch


def multiplies_bfloat16(device: str | torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32: a CPU does with instructions of its own for it."""
    if torch.device(device).type == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return True


def fast(device: str | torch.device, enabled: bool = True) -> torch.autocast:
    """Autocast to bfloat16 where that is faster; elsewhere, or where not enabled, a context that changes nothing."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled and multiplies_bfloat16(device))


def host_arguments(cpu: bool, half: bool) -> list[str]:
    """Of a ComfyUI on a CPU or not, whose models compute in bfloat16 or not; says so where that is slow."""
    if cpu and half and not multiplies_bfloat16("cpu"):
        print(
            "vmt: --half computes in bfloat16, for which this CPU has no instructions: that takes many times longer. "
            "Leave it out, unless results made by it are to be gone on with.",
            file=sys.stderr,
        )
    return ["--cpu"] * cpu + ["--bf16-unet", "--bf16-vae"] * half
