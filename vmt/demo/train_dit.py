"""Training the demo's DiT: flow matching (arXiv 2210.02747) on latents of procedural clips.

The latents are made once by the demo's own VAE and kept; captions name things and scene, one in ten is dropped for
classifier-free guidance. One batch in seven is cut to 17 frames, so that shorter clips work too: the VAE is causal, so the
first five latent frames of a clip are the latent of its first 17 frames.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..synthetic.render import draw
from .training import Run, SceneStream, rate, stream
from .vocabulary import embed, tokenize
from .wan_dit import WanDiT, WanShape
from .wan_vae import LATENT_MEAN, LATENT_STD, WanVAE

SHARD = 2048
TRAINING_SHIFT = 3.0
NULL_SHARE = 0.1


def latent_scale(device) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (1, 16, 1, 1, 1)
    return torch.tensor(LATENT_MEAN, device=device).view(shape), torch.tensor(LATENT_STD, device=device).view(shape)


@torch.no_grad()
def make_latents(folder: Path, vae: WanVAE, clips: int, device: str, say=print, until=float("inf"), batch: int = 32):
    """Latents (clips,16,9,16,16) float16 in the DiT's scale and word numbers (clips,16), kept in shards under `folder`."""
    mean, std = latent_scale(device)
    encode = torch.compile(vae.encode) if device == "cuda" else vae.encode
    latents, words, started = [], [], time.time()
    for shard in range(clips // SHARD):
        path = folder / "latents" / f"{shard:04d}.safetensors"
        if not path.exists():
            parts, numbers = [], []
            for scene, captions in stream(SceneStream(f"latents {shard}", SHARD // batch, batch)):
                frames = draw({k: v.to(device, non_blocking=True) for k, v in scene.items()}, 128, 128)[0]
                with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                    latent = encode((frames * 2 - 1).movedim(-1, 1))
                parts.append(((latent.float() - mean) / std).half().cpu())
                numbers += [tokenize(caption)[0] for caption in captions]
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"latents": torch.cat(parts).contiguous(), "words": torch.tensor(numbers)}, path)
            say(f"latents {shard + 1}/{clips // SHARD} shards  {time.time() - started:.0f} s")
        tensors = load_file(path)
        latents.append(tensors["latents"])
        words.append(tensors["words"])
        if time.time() > until:
            raise TimeoutError("time is up; run the command again to go on")
    return torch.cat(latents).to(device), torch.cat(words).to(device)


def draw_sigma(batch: int, device) -> torch.Tensor:
    """Noise levels (B,): logit-normal, shifted towards noise; a fifth uniform."""
    s = torch.sigmoid(torch.randn(batch, device=device))
    s = TRAINING_SHIFT * s / (1 + (TRAINING_SHIFT - 1) * s)
    return torch.where(torch.rand(batch, device=device) < 0.2, torch.rand(batch, device=device), s)


def dit_loss(dit, clean: torch.Tensor, context: torch.Tensor, sigma: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Flow-matching loss: the model predicts noise - clean at x = (1 - sigma) clean + sigma noise."""
    level = sigma.view(-1, 1, 1, 1, 1)
    velocity = dit(torch.lerp(clean, noise, level), 1000 * sigma, context)
    return (velocity.float() - (noise - clean)).pow(2).mean()


def train_dit(
    folder: Path, latents: torch.Tensor, words: torch.Tensor, shape: WanShape = WanShape(), steps: int = 20000, batch: int = 128,
    lr: float = 1e-3, device: str = "cpu", say=print, until: float = float("inf"),
) -> WanDiT:  # fmt: skip
    """Train, or go on from `folder`'s checkpoint; returns the averaged model."""
    torch.manual_seed(1)  # the training command owns its process
    dit = WanDiT(shape).to(device)
    matrices = {name for name, p in dit.named_parameters() if name.startswith("blocks.") and p.ndim == 2}
    run = Run(dit, matrices, lr, folder / "dit.checkpoint.safetensors", ema=0.9995)
    torch.manual_seed(1000 + run.step)
    loss_of = torch.compile(dit_loss) if device == "cuda" else dit_loss
    started, base, mean_loss = time.time(), run.seconds, torch.zeros((), device=device)
    while run.step < steps:
        index = torch.randint(len(latents), (batch,), device=device)
        clean, numbers = latents[index].float(), words[index]
        if run.step % 7 == 3:
            clean = clean[:, :, :5].contiguous()
        numbers = numbers * (torch.rand(batch, 1, device=device) >= NULL_SHARE)
        context, sigma, noise = embed(numbers), draw_sigma(batch, device), torch.randn_like(clean)
        with torch.autocast(device, torch.bfloat16):
            loss = loss_of(dit, clean, context, sigma, noise)
        loss.backward()
        run.update(rate(run.step, steps))
        mean_loss = torch.lerp(mean_loss, loss.detach(), 0.01 if run.step > 1 else 1.0)
        if run.step % 500 == 0:
            run.seconds = base + time.time() - started
            say(f"dit {run.step}/{steps}  loss {mean_loss.item():.4f}  {run.seconds:.0f} s")
        if run.step % 5000 == 0 or time.time() > until:
            run.save()
        if time.time() > until:
            raise TimeoutError("time is up; run the command again to go on")
    run.save()
    with torch.no_grad():
        for name, parameter in dit.named_parameters():
            parameter.copy_(run.average[name])
    return dit
