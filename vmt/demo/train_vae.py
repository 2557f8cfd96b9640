"""Training the demo's VAE on procedural clips.

Images first, then clips mixed with images; loss 0.1 log(MSE + 1e-5) per clip, a small KL term, and a little noise on
the latent, since a diffusion model's latents are never exact.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import torch
from safetensors.torch import save_file

from ..metrics.psnr import psnr
from ..synthetic.render import render_batch
from ..synthetic.sample import sample_scene
from ..synthetic.scene import project
from ..whole_file import whole_file
from .precision import fast
from .training import Run, rate
from .wan_vae import WanVAE, fold_latent_statistics

CROP, CROP_FRAMES = 64, 9  # pixels and frames of a training clip
LATENT_NOISE = 0.05  # of the latent's own deviation


def vae_loss(vae: WanVAE, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and mean squared error of clips (B,3,T,H,W) in -1..1."""
    mean, log_variance = vae.moments(frames)
    mean, log_variance = mean.float(), log_variance.float().clamp(-20, 10)
    spread = torch.exp(log_variance) + (LATENT_NOISE * mean.std().detach()) ** 2
    latent = mean + spread.sqrt() * torch.randn_like(mean)
    error = (vae.decode(latent.to(frames)).float() - frames.float()).pow(2).mean((1, 2, 3, 4))
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    return 0.1 * torch.log(error + 1e-5).mean() + 1e-5 * kl, error.mean()


def train_vae(
    folder: Path, steps: int, batch: int, device: str = "cpu", say=print, until: float = float("inf"), lr:
        float = 2e-3
) -> WanVAE:  # fmt: skip
    """Train, or go on from `folder`'s checkpoint; returns the averaged model with its latent scale folded in.

    `until` (time.time()) stops early: the checkpoint is saved and TimeoutError raised.
    """
    torch.manual_seed(0)  # the training command owns its process
    vae = channels_last(WanVAE().to(device))
    matrices = {name for name, p in vae.named_parameters() if name.endswith("weight") and p.flatten(1).shape[1] > 3}
    run = Run(vae, matrices, lr, path=folder / "vae.checkpoint.safetensors", ema=0.995)
    torch.manual_seed(run.step)
    pick, total = Random(run.step), torch.zeros((), device=device)
    while run.step < steps:
        images = run.step < steps // 8
        frames = _crops(run.step, 4 * batch if images else batch, 1 if images else CROP_FRAMES, pick, device)
        with fast(device):
            loss, error = vae_loss(vae, frames)
        loss.backward()
        run.update(rate(run.step, steps))
        total = torch.lerp(total, error.detach(), 0.02 if run.step > 1 else 1.0)
        if run.step % 100 == 0:
            say(f"vae {run.step}/{steps}  PSNR {10 * torch.log10(4 / total).item():.2f} dB  {run.seconds:.0f} s")
        run.keep(every=100, until=until)
    run.save()
    run.use_average()
    _fold(vae, device)
    return vae


def channels_last(module: torch.nn.Module) -> torch.nn.Module:
    """Keep convolution weights with channels last, in which bfloat16 convolutions run about twice as fast."""
    for part in module.modules():
        if isinstance(part, torch.nn.Conv3d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(part, torch.nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
    return module


@torch.no_grad()
def _crops(step: int, count: int, length: int, pick: Random, device: str) -> torch.Tensor:
    """Random runs of frames from random scenes, cut to 64x64 around a thing where there is one:
    (count,3,length,64,64)."""
    rng = Random(f"vae {step}")
    scenes = []
    for _ in range(count):
        scene = sample_scene(rng)
        start = pick.randrange(0, scene.num_frames - length + 1)
        keep = slice(start, start + length)
        things = [project(scene.camera, thing.centre) for thing in scene.objects]
        if scene.figure is not None:
            things.append(project(scene.camera, scene.figure.bones[:, pick.randrange(10)].mean(1)))
            scene.figure.bones = scene.figure.bones[keep]
        for thing in scene.objects:
            thing.centre, thing.angle = thing.centre[keep], thing.angle[keep]
        centre = torch.tensor([pick.uniform(32, 96), pick.uniform(32, 96)])
        if things and pick.random() < 0.85:
            centre = pick.choice(things)[start + length // 2] + torch.tensor(
                [pick.uniform(-20, 20), pick.uniform(-20, 20)]
            )
        scene.camera = scene.camera[keep].clone()
        scene.camera[..., 2] -= (centre.clamp(CROP // 2, 128 - CROP // 2) - CROP // 2).round()
        scenes.append(scene)
    frames = render_batch(scenes, CROP, CROP, device) * 2 - 1
    return frames.movedim(-1, 1).contiguous(memory_format=torch.channels_last_3d)


@torch.no_grad()
def _fold(vae: WanVAE, device: str, clips: int = 96) -> None:
    latents = []
    for i in range(0, clips, 8):
        scenes = [sample_scene(Random(f"fold {i + j}")) for j in range(8)]
        latents.append(vae.encode((render_batch(scenes, device=device) * 2 - 1).movedim(-1, 1)))
    latents = torch.cat(latents)
    fold_latent_statistics(vae, latents.mean((0, 2, 3, 4)), latents.std((0, 2, 3, 4)))


@torch.no_grad()
def round_trip_psnr(vae: WanVAE, clips: int = 16, device: str = "cpu") -> dict[str, float]:
    """Mean PSNR in dB of held-out 33-frame clips through the VAE: "flat" on plain grounds, "textured" on the others."""
    return {kind: _round_trip_psnr(vae, kind == "textured", clips, device) for kind in ("flat", "textured")}


def _round_trip_psnr(vae: WanVAE, textured: bool, clips: int, device: str) -> float:
    values = []
    for i in range(clips):
        rng = Random(f"round trip {textured} {i}")
        while True:
            scene = sample_scene(rng, "single", held_out=True)
            if (scene.ground.texture != "plain") == textured:
                break
        frames = render_batch([scene], device=device)
        out = vae.decode(vae.encode((frames * 2 - 1).movedim(-1, 1))).movedim(1, -1)
        values.append(psnr(out / 2 + 0.5, frames))
    return sum(values) / len(values)


def save_half(module: torch.nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """The weights as float16 safetensors, as the repository ships them."""
    with whole_file(path) as file:
        save_file(
            {name: p.detach().half().contiguous().cpu() for name, p in module.state_dict().items()}, file, metadata
        )
