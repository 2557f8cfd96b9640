"""Training the demo's DiT: flow matching (arXiv 2210.02747) on latents of procedural clips.

The latents are made once by the demo's own VAE and kept; captions name things and scene, one in ten is dropped for
classifier-free guidance. Shorter clips cost nothing to make: the VAE is causal, so the first five latent frames of a
clip are the latent of its first 17 frames.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ..synthetic.render import draw
from .precision import fast
from .shards import shards
from .train_vae import channels_last
from .training import Run, SceneStream, rate, stream
from .vocabulary import embed, tokenize
from .wan_dit import WanDiT
from .wan_vae import LATENT_MEAN, LATENT_STD, WanVAE

SHARD = {1: 1024, 33: 256}  # clips in one file, by their frames
TRAINING_SHIFT = 3.3  # of a single latent frame
UNIFORM_SHARE = 0.2  # of the noise levels
NULL_SHARE = 0.1  # of the captions


def latent_scale(device) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (1, 16, 1, 1, 1)
    return torch.tensor(LATENT_MEAN, device=device).view(shape), torch.tensor(LATENT_STD, device=device).view(shape)


def encoded(vae: WanVAE, frames: torch.Tensor) -> torch.Tensor:
    """Clips (B,T,H,W,3) 0..1 to latents (B,16,F,h,w) float32 in the DiT's scale, in bfloat16 where that is fast."""
    mean, std = latent_scale(frames.device)
    video = (frames * 2 - 1).movedim(-1, 1).contiguous(memory_format=torch.channels_last_3d)
    with fast(frames.device):
        latent = vae.encode(video)
    return (latent.float() - mean) / std


@torch.no_grad()
def make_latents(
    folder: Path, vae: WanVAE, count: int, num_frames: int, device: str, say=print, until=float("inf"), batch: int = 8,
    first: int = 0, kinds: Sequence[str] = (),
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Latents of random training clips, made once and kept in shards under `folder`.

    Args:
        num_frames: 33, or 1 for single images, which cost a thirtieth.
        first: number of the first clip; rounded down to whole shards, as `count` is.
        kinds: see `SceneStream`; clips of other kinds are other clips.
    Returns:
        latents (count,16,F,16,16) float16 in the DiT's scale, and word numbers (count,16).
    """
    vae, size = channels_last(vae), SHARD[num_frames]
    named = "".join(f"-{kind}" for kind in kinds)

    def make(shard: int) -> dict[str, torch.Tensor]:
        parts, numbers = [], []
        for scene, captions in stream(
            SceneStream(f"latents {num_frames} {shard}{named}", size // batch, batch, kinds=kinds)
        ):
            frames = draw(_first_frames(scene, num_frames, device), 128, 128)[0]
            parts.append(encoded(vae, frames).half().cpu())
            numbers += [tokenize(caption)[0] for caption in captions]
        return {"latents": torch.cat(parts), "words": torch.tensor(numbers)}

    def told(made: int, seconds: float) -> None:
        say(f"latents of {num_frames} frames: {made * size}/{count}  {seconds:.0f} s")

    wanted = range(first // size, first // size + max(1, count // size))
    kept = list(shards(folder / f"latents-{num_frames}{named}", wanted, make, told, until))
    return tuple(torch.cat([shard[name] for shard in kept]).to(device) for name in ("latents", "words"))


def _first_frames(scene: dict[str, torch.Tensor], num_frames: int, device: str) -> dict[str, torch.Tensor]:
    """The scene tensors of the first frames only, on the device."""
    scene = {name: value.to(device, non_blocking=True) for name, value in scene.items()}
    for name, axis in (("camera", 1), ("centre", 2), ("angle", 2), ("bones", 1)):
        if name in scene:
            scene[name] = scene[name].narrow(axis, 0, num_frames)
    return scene


def draw_sigma(batch: int, frames: int, device) -> torch.Tensor:
    """Noise levels (B,) of clips of so many latent frames: logit-normal, shifted towards noise; a fifth uniform.

    The shift grows with the square root of the tokens (arXiv 2403.03206, section 5.3.2): the more frames show the same
    thing, the more noise is needed to hide it, and where it goes is decided at levels at which one frame says little.
    """
    shift = TRAINING_SHIFT * frames**0.5
    # one draw from each of `batch` equally likely ranges: even a batch of six sees all noise levels
    share = (torch.randperm(batch, device=device) + torch.rand(batch, device=device)) / batch
    normal = torch.special.ndtri(((share - UNIFORM_SHARE) / (1 - UNIFORM_SHARE)).clamp(1e-4, 1 - 1e-4))
    s = torch.sigmoid(normal)
    s = shift * s / (1 + (shift - 1) * s)
    return torch.where(share < UNIFORM_SHARE, share / UNIFORM_SHARE, s)


def noised(clean: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Clips (B,16,F,h,w) at noise levels (B,): x = (1 - sigma) clean + sigma noise."""
    return torch.lerp(clean, noise, sigma.view(-1, 1, 1, 1, 1))


def velocity(dit, x: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """What the model says at x of noise levels (B,): float32, of x's shape."""
    return dit(x, 1000 * sigma, context).float()


def dit_loss(dit, x: torch.Tensor, context: torch.Tensor, sigma: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Flow-matching loss: the model predicts the velocity `target`, noise - clean, at x of noise levels (B,)."""
    return (velocity(dit, x, sigma, context) - target).pow(2).mean()


def compiled(function):
    """The function compiled, which halves a step's time; as it is where there is no compiler (on a CPU: for C++)."""
    if torch.cuda.is_available() or shutil.which(os.environ.get("CXX", "c++")):
        return torch.compile(function, dynamic=False)
    return function


def frames_of_step(step: int, steps: int, further: bool = False) -> int:
    """Latent frames of a step's batch: images first, then short clips, then whole ones, with the shorter mixed in.

    What a thing looks like is learned on images at a fraction of the cost; how it moves needs clips. A model trained
    `further` knows the first, and sees whole clips at once.
    """
    if further:
        return 1 if step % 12 == 0 else 9
    progress = step / steps
    if progress < 0.3:
        return 1
    if progress < 0.5:
        return 1 if step % 4 == 0 else 3
    return {0: 1, 1: 3, 2: 5}.get(step % 12, 9)


def train_dit(
    checkpoint: Path, images: tuple[torch.Tensor, torch.Tensor], clips: tuple[torch.Tensor, torch.Tensor],
    dit: WanDiT, steps: int, batch: int, lr: float, device: str = "cpu", say=print, until: float = float("inf"),
    further: bool = False, guided: Callable[..., torch.Tensor] | None = None,
) -> WanDiT:  # fmt: skip
    """Train, or go on from the run's `checkpoint`; returns the averaged model.

    Args:
        images, clips: latents and word numbers from `make_latents`, of 1 and of 33 frames.
        dit: the model that a run begins with; trained in place. A checkpoint takes its place.
        batch: clips of 9 latent frames a step; a step of shorter ones holds as many tokens.
        further: `dit` is trained already and sees whole clips from the first step.
        guided: (x, sigma, context, null prompt) -> velocity to learn in the place of the data's.
    """
    dit = dit.to(device)
    matrices = {name for name, p in dit.named_parameters() if name.startswith("blocks.") and p.ndim == 2}
    run = Run(dit, matrices, lr, checkpoint, ema=0.998)
    torch.manual_seed(1000 + run.step)  # the training command owns its process
    loss_of, guided = compiled(dit_loss), guided and compiled(guided)
    losses = {}
    while run.step < steps:
        length = frames_of_step(run.step, steps, further)
        latents, words = images if length == 1 else clips
        index = torch.randint(len(latents), (batch * 9 // length,), device=latents.device)
        clean, numbers = latents[index][:, :, :length].float(), words[index]
        numbers = numbers * (torch.rand(len(index), 1, device=device) >= NULL_SHARE)
        context, sigma, noise = embed(numbers), draw_sigma(len(index), length, device), torch.randn_like(clean)
        x, target = noised(clean, noise, sigma), noise - clean
        with fast(device):
            if guided:
                with torch.no_grad():
                    target = guided(x, sigma, context, embed(torch.zeros_like(numbers[0])))
            loss = loss_of(dit, x, context, sigma, target)
        loss.backward()
        run.update(rate(run.step, steps))
        losses[length] = torch.lerp(losses.get(length, loss.detach()), loss.detach(), 0.02)
        if run.step % 50 == 0:
            parts = "  ".join(f"{frames} frames {value.item():.4f}" for frames, value in sorted(losses.items()))
            say(f"dit {run.step}/{steps}  loss of {parts}  {run.seconds:.0f} s")
        run.keep(every=200, until=until)
    run.save()
    run.use_average()
    return dit
