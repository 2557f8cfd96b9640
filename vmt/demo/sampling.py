"""Drawing clips from the demo model in plain PyTorch, to judge it without a host."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file

from ..errors import InputError
from ..flow_matching import seeded_noise, shifted_sigmas
from .precision import fast
from .train_dit import latent_scale, noised, velocity
from .train_vae import channels_last
from .vocabulary import encode
from .wan_dit import WanDiT, WanShape
from .wan_vae import WanVAE


def load_dit(path: Path) -> WanDiT:
    """The DiT of a weight file, float32 on the CPU; width, FFN and blocks are read from the weights."""
    tensors = _tensors(path)
    dit = WanDiT(_shape(tensors))
    dit.load_state_dict(tensors)
    return dit.eval().requires_grad_(False)


def shape_of_file(path: Path) -> WanShape:
    """The sizes of the DiT of a weight file."""
    return _shape(_tensors(path))


def _shape(tensors: dict[str, torch.Tensor]) -> WanShape:
    blocks = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    ffn, width = tensors["blocks.0.ffn.0.weight"].shape
    return WanShape(width=width, ffn=ffn, blocks=blocks)


def load_vae(path: Path) -> WanVAE:
    """The VAE of a weight file, float32 on the CPU; its width is read from the weights."""
    tensors = _tensors(path)
    vae = WanVAE(tensors["encoder.conv1.weight"].shape[0])
    vae.load_state_dict(tensors)
    return channels_last(vae.eval().requires_grad_(False))


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not Path(path).is_file():
        raise InputError(
            f"There are no weights at {path}. Make them with `python3 -m vmt train demo`, or give their folder."
        )
    return {name: tensor.float() for name, tensor in load_file(path).items()}


@torch.inference_mode()
def sample(
    dit: WanDiT, vae: WanVAE, captions: list[str], steps: int = 20, cfg: float = 4.0, shift: float = 5.0, seed: int = 0,
    num_frames: int = 33, size: int = 128, half: bool = False, ancestral: bool = False,
    clean: torch.Tensor | None = None, start: int = 0,
) -> torch.Tensor:  # fmt: skip
    """Clips of the captions: Euler on the shifted schedule, classifier-free guidance against the empty prompt.

    `ancestral` puts new noise in the place of some of the old at every step, as the host's `euler_ancestral` does: what
    the model got wrong at one level it can then see and mend at the next.

    Args:
        captions: B prompts; clip i starts from the noise of seed + i, so a clip does not depend on its batch.
        num_frames: T = 4(F-1)+1. size: pixels of a side, a multiple of 16.
        half: run the DiT in bfloat16 where that is faster; the clips differ a little.
        clean, start: latents (B,16,F,size/8,size/8) to go on from, at the noise level of that step.
    Returns:
        frames (B,T,size,size,3) float32 0..1 on the CPU.
    Raises:
        InputError: no caption, T not 4n+1, or another size.
    """
    if not captions or num_frames % 4 != 1 or size % 16:
        raise InputError(
            f"{len(captions)} captions, {num_frames} frames and a side of {size} were given; at least one caption, "
            "4n+1 frames and a multiple of 16 are needed. Change the one that is not."
        )
    device = next(dit.parameters()).device
    shape = (16, (num_frames - 1) // 4 + 1, size // 8, size // 8)
    x = torch.stack([seeded_noise(shape, seed + i) for i in range(len(captions))]).to(device)
    if clean is not None:
        x = noised(clean, x, shifted_sigmas(steps, shift)[start].to(x).expand(len(x)))
    context = torch.stack([encode(caption)[0] for caption in captions] + [encode("")[0]] * len(captions)).to(device)
    # One after each clip's own, so that a clip is the same in any batch; current hosts count likewise.
    generators = [torch.Generator().manual_seed(seed + i + 1) for i in range(len(captions))]

    def fresh():
        return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(device)

    with fast(device, half):
        latents = euler(
            partial(velocity, dit), x, context, steps, cfg, shift, fresh=fresh if ancestral else None, start=start
        )
    return decode(vae, latents)


def euler(
    said: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor], x: torch.Tensor, context: torch.Tensor,
    steps: int, cfg: float, shift: float, seen: Callable[..., None] | None = None,
    fresh: Callable[[], torch.Tensor] | None = None, start: int = 0,
) -> torch.Tensor:  # fmt: skip
    """The latent at the end of the way from noise x (B,16,F,h,w).

    Args:
        said: (x, noise levels (B,), context) -> velocity. context: (2B,M,4096), B prompts and B null prompts; at cfg 1
            the null prompts are not asked. seen: called at each step with the noise level, x, and the velocities under
            prompt and null prompt.
        fresh: gives new noise of x's shape; with it every step but the last goes further down and comes back up by it
            (ancestral, eta 1, for flow matching: `renoised`). None: nothing random.
        start: the step to begin with, at whose noise level x is then.
    """
    for sigma, lower in pairwise(shifted_sigmas(steps, shift)[start:].tolist()):
        if cfg == 1:
            wanted = unguided = said(x, x.new_full((len(x),), sigma), context[: len(x)])
        else:
            wanted, unguided = said(torch.cat([x, x]), x.new_full((2 * len(x),), sigma), context).chunk(2)
        if seen:
            seen(sigma, x, wanted, unguided)
        down = lower * lower / sigma if fresh else lower
        x = x + (down - sigma) * (unguided + cfg * (wanted - unguided))
        if down < lower:
            x = renoised(x, down, lower, fresh())
    return x


def renoised(x: torch.Tensor, sigma: float, higher: float, noise: torch.Tensor) -> torch.Tensor:
    """x at noise level sigma brought up to the level `higher` by independent noise: its variance is that level's."""
    share = (1 - higher) / (1 - sigma)
    return share * x + (higher**2 - (share * sigma) ** 2) ** 0.5 * noise


@torch.inference_mode()
def clean_latent(vae: WanVAE, frames: torch.Tensor) -> torch.Tensor:
    """Clips (B,T,H,W,3) 0..1 as the DiT sees them: (B,16,F,H/8,W/8) float32, scaled."""
    mean, std = latent_scale("cpu")
    with fast("cpu"):
        return (vae.encode((frames * 2 - 1).movedim(-1, 1)).float() - mean) / std


@torch.inference_mode()
def decode(vae: WanVAE, latents: torch.Tensor) -> torch.Tensor:
    """Latents (B,16,F,h,w) in the DiT's scale to frames (B,T,8h,8w,3) float32 0..1 on the CPU, one clip at a time.

    bfloat16 on a CPU with matrix units, where it takes a third of the time and costs a hundredth of a decibel.
    """
    mean, std = latent_scale(latents.device)
    with fast(latents.device, latents.device.type == "cpu"):
        clips = [vae.decode(latent)[0].float() for latent in (latents * std + mean).split(1)]
    return (torch.stack(clips).movedim(1, -1) / 2 + 0.5).clamp(0, 1).cpu()
