"""The Wan 2.1 causal video VAE in plain PyTorch, a whole clip at a time, for training the demo's VAE.

Parameter names are those of Wan 2.1 (arXiv 2503.20314, section 4.1), so that the state dict loads in ComfyUI's stock
VAELoader. The host runs it in chunks of 1, 4, 4, ... frames with caches; this form runs all frames at once and is
held to the same result by a test. Two places need care: frame 0 goes around the time convolution of every temporal
resampling.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

LATENT_CHANNELS = 16
MULTIPLIERS = (1, 2, 4, 4)
HALVES_TIME = (False, True, True)

# Per-channel statistics that ComfyUI's Wan 2.1 latent format expects of a VAE's latents.
LATENT_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
LATENT_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip


class CausalConv3d(nn.Conv3d):
    """Sees this frame and earlier ones: all padding in time lies in front."""

    def forward(self, x):
        time, height, width = self.padding
        if x.shape[2] == 1:  # an image: all frames before it are zero, so only the last tap counts
            return F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, self.stride[1:], (height, width)).unsqueeze(2)
        return F.conv3d(F.pad(x, (width, width, height, height, 2 * time, 0)), self.weight, self.bias, self.stride)


class RMSNorm(nn.Module):
    def __init__(self, channels: int, image: bool = False):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *(1,) * (2 if image else 3)))

    def forward(self, x):
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min(1e-12)
        return x * (x.shape[1] ** 0.5 / length) * self.gamma.to(x)


class ResidualBlock(nn.Module):
    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.residual = nn.Sequential(
            RMSNorm(channels_in), nn.SiLU(), CausalConv3d(channels_in, channels_out, 3, padding=1),
            RMSNorm(channels_out), nn.SiLU(), nn.Identity(), CausalConv3d(channels_out, channels_out, 3, padding=1),
        )  # fmt: skip
        self.shortcut = CausalConv3d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()
        with torch.no_grad():
            self.residual[6].weight.mul_(0.1)

    def forward(self, x):
        return self.residual(x) + self.shortcut(x)


class SpatialAttention(nn.Module):
    """One head over the places of each frame."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = RMSNorm(channels, image=True)
        self.to_qkv, self.proj = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.proj.weight)

    def forward(self, x):
        batch, _, _, height, width = x.shape
        frames = _fold(x)
        q, k, v = (t.flatten(2).transpose(1, 2) for t in self.to_qkv(self.norm(frames)).chunk(3, 1))
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).unflatten(2, (height, width))
        return x + _unfold(self.proj(out), batch)


def _fold(x):
    return x.transpose(1, 2).flatten(0, 1)


def _unfold(frames, batch):
    return frames.unflatten(0, (batch, -1)).transpose(1, 2)


class Downsample(nn.Module):
    def __init__(self, channels: int, halves_time: bool):
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2))
        if halves_time:
            self.time_conv = CausalConv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1))
        self.halves_time = halves_time

    def forward(self, x):
        x = _unfold(self.resample(_fold(x)), x.shape[0])
        if not self.halves_time or x.shape[2] == 1:
            return x
        return torch.cat([x[:, :, :1], self.time_conv(x)], 2)


class Upsample(nn.Module):
    def __init__(self, channels: int, doubles_time: bool):
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=(2.0, 2.0), mode="nearest-exact"), nn.Conv2d(channels, channels // 2, 3, padding=1)
        )
        if doubles_time:
            self.time_conv = CausalConv3d(channels, 2 * channels, (3, 1, 1), padding=(1, 0, 0))
        self.doubles_time = doubles_time

    def forward(self, x):
        if self.doubles_time and x.shape[2] > 1:
            later = self.time_conv(x[:, :, 1:]).unflatten(1, (2, -1)).movedim(1, 3).flatten(2, 3)
            x = torch.cat([x[:, :, :1], later], 2)
        return _unfold(self.resample(_fold(x)), x.shape[0])


class Encoder(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        widths = [dim * m for m in (1, *MULTIPLIERS)]
        self.conv1 = CausalConv3d(3, widths[0], 3, padding=1)
        layers = []
        for level, (narrow, wide) in enumerate(pairwise(widths)):
            layers += [ResidualBlock(narrow, wide), ResidualBlock(wide, wide)]
            if level < len(HALVES_TIME):
                layers.append(Downsample(wide, HALVES_TIME[level]))
        self.downsamples = nn.Sequential(*layers)
        self.middle = nn.Sequential(ResidualBlock(wide, wide), SpatialAttention(wide), ResidualBlock(wide, wide))
        self.head = nn.Sequential(RMSNorm(wide), nn.SiLU(), CausalConv3d(wide, 2 * LATENT_CHANNELS, 3, padding=1))

    def forward(self, x):
        return self.head(self.middle(self.downsamples(self.conv1(x))))


class Decoder(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        widths = [dim * m for m in (MULTIPLIERS[-1], *MULTIPLIERS[::-1])]
        self.conv1 = CausalConv3d(LATENT_CHANNELS, widths[0], 3, padding=1)
        wide = widths[0]
        self.middle = nn.Sequential(ResidualBlock(wide, wide), SpatialAttention(wide), ResidualBlock(wide, wide))
        layers = []
        for level, (wide, narrow) in enumerate(pairwise(widths)):
            wide = wide // 2 if level else wide
            layers += [ResidualBlock(wide, narrow), ResidualBlock(narrow, narrow), ResidualBlock(narrow, narrow)]
            if level < len(HALVES_TIME):
                layers.append(Upsample(narrow, HALVES_TIME[::-1][level]))
        self.upsamples = nn.Sequential(*layers)
        self.head = nn.Sequential(RMSNorm(narrow), nn.SiLU(), CausalConv3d(narrow, 3, 3, padding=1))

    def forward(self, z):
        return self.head(self.upsamples(self.middle(self.conv1(z))))


class WanVAE(nn.Module):
    """Frames (B,3,T,H,W) in -1..1 to latents (B,16,F,H/8,W/8), T = 4(F-1)+1, and back."""

    def __init__(self, dim: int = 16):
        super().__init__()
        self.encoder, self.decoder = Encoder(dim), Decoder(dim)
        self.conv1 = CausalConv3d(2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1)
        self.conv2 = CausalConv3d(LATENT_CHANNELS, LATENT_CHANNELS, 1)
        self.start_framewise()

    @torch.no_grad()
    def start_framewise(self) -> None:
        """Let every frame see only itself at first, so that what was learned on images holds for clips from the
        start."""
        for name, part in self.named_modules():
            if isinstance(part, CausalConv3d) and part.kernel_size[0] == 3:
                part.weight[:, :, :2] = 0
                if name.endswith("time_conv"):
                    same = torch.eye(part.in_channels)
                    part.weight[:, :, 2, 0, 0] = same.repeat(part.out_channels // part.in_channels, 1)
                    part.bias.zero_()

    def moments(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior mean and log-variance of the latent."""
        mean, log_variance = self.conv1(self.encoder(frames)).chunk(2, 1)
        return mean, log_variance

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return self.moments(frames)[0]

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.conv2(latent))


@torch.no_grad()
def fold_latent_statistics(vae: WanVAE, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Rescale the latent, exactly, from per-channel `mean` and `std` (16,) to those that ComfyUI's Wan format
    expects."""
    scale = torch.tensor(LATENT_STD).to(std) / std
    shift = torch.tensor(LATENT_MEAN).to(mean) - mean * scale
    channels = slice(0, LATENT_CHANNELS)
    vae.conv1.weight[channels] *= scale[:, None, None, None, None]
    vae.conv1.bias[channels] = vae.conv1.bias[channels] * scale + shift
    vae.conv2.bias -= (vae.conv2.weight[:, :, 0, 0, 0] * (shift / scale)).sum(1)
    vae.conv2.weight /= scale[None, :, None, None, None]
