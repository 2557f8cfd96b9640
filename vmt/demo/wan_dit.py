"""The Wan 2.1 text-to-video DiT in plain PyTorch, for training the demo model outside ComfyUI.

Parameter names and arithmetic are those of Wan 2.1 (arXiv 2503.20314, section 4), so that a state dict of this class
loads in ComfyUI's stock UNETLoader, and a test holds both to the same output. It is not used when the demo model runs.
Legend: B clips, L tokens, C width, N heads, D channels per head (128 in every Wan model).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


@dataclass(frozen=True)
class WanShape:
    """Sizes of a Wan model. ComfyUI reads all of them from the weights; heads are width // 128."""

    width: int = 384
    ffn: int = 1152
    blocks: int = 6
    channels: int = 16
    text_width: int = 4096
    time_width: int = 256
    patch: tuple[int, int, int] = (1, 2, 2)

    @property
    def heads(self) -> int:
        return self.width // 128


def rope_angles(frames: int, height: int, width: int, head: int, device=None) -> torch.Tensor:
    """Rotation angles (L, head/2) of the three-axis RoPE: first the channels of time, then of rows, then of columns."""
    sizes = (head - 4 * (head // 6), 2 * (head // 6), 2 * (head // 6))
    places = torch.meshgrid(*(torch.arange(n, device=device) for n in (frames, height, width)), indexing="ij")
    angles = [
        place.flatten().double()[:, None] / 10000 ** (torch.arange(0, size, 2, device=device).double() / size)
        for place, size in zip(places, sizes, strict=True)
    ]
    return torch.cat(angles, 1).float()


def rotate(x_BLND: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotate channel pairs (2i, 2i+1) by `angles` (L, D/2); float32 inside."""
    even, odd = x_BLND.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2).type_as(x_BLND)


def attend(
    q_BNLD: torch.Tensor, k_BNMD: torch.Tensor, v_BNMD: torch.Tensor, seen_LM: torch.Tensor | None = None
) -> torch.Tensor:
    """Scaled dot-product attention (B,N,L,D) to the keys that are `seen` (bool; default: all).

    Written out on a CPU, whose fused kernel trains a third slower.
    """
    if q_BNLD.device.type != "cpu":
        return F.scaled_dot_product_attention(q_BNLD, k_BNMD, v_BNMD, attn_mask=seen_LM)
    logits = (q_BNLD @ k_BNMD.transpose(-1, -2)).float() * q_BNLD.shape[-1] ** -0.5
    if seen_LM is not None:
        logits = logits.masked_fill(~seen_LM, -torch.inf)
    return logits.softmax(-1).type_as(v_BNMD) @ v_BNMD


def frames_in_reach(frames: int, length: int, reach: int, device=None) -> torch.Tensor:
    """Of `length` tokens of so many frames, which see which: those of frames at most `reach` apart; bool (L,L)."""
    frame = torch.arange(length, device=device) // (length // frames)
    return (frame[:, None] - frame).abs() <= reach


class Attention(nn.Module):
    """Multi-head attention with RMS norm over all channels of q and k; RoPE if angles are given."""

    attend = staticmethod(attend)

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.norm_q, self.norm_k = (nn.RMSNorm(width, eps=1e-6) for _ in range(2))

    def queries_keys(self, x, context=None):
        """q of x (B,L,width) and k of `context` (B,M,width), or of x: (B,L,N,D) and (B,M,N,D), not rotated yet."""
        q, k = self.norm_q(self.q(x)), self.norm_k(self.k(x if context is None else context))
        return q.type_as(x).unflatten(-1, (self.heads, -1)), k.type_as(x).unflatten(-1, (self.heads, -1))

    def forward(self, x, context=None, angles=None, seen=None):
        """Attention of x (B,L,width) to itself or to `context` (B,M,width), to the keys that are seen (L,M)."""
        q, k = self.queries_keys(x, context)
        v = self.v(x if context is None else context).unflatten(-1, (self.heads, -1))
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        q, k, v = (t.transpose(1, 2) for t in (q, k.type_as(q), v.type_as(q)))
        return self.o(rearrange(self.attend(q, k, v, seen), "b n l d -> b l (n d)"))


class Block(nn.Module):
    def __init__(self, shape: WanShape):
        super().__init__()
        width = shape.width
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6, elementwise_affine=False) for _ in range(2))
        self.norm3 = nn.LayerNorm(width, eps=1e-6)
        self.self_attn, self.cross_attn = Attention(width, shape.heads), Attention(width, shape.heads)
        self.ffn = nn.Sequential(nn.Linear(width, shape.ffn), nn.GELU(approximate="tanh"), nn.Linear(shape.ffn, width))
        self.modulation = nn.Parameter(torch.randn(1, 6, width) / width**0.5)

    def queries_keys(self, x, time):
        """q and k of the self-attention, (B,L,N,D) each, not rotated yet."""
        shift, scale = (self.modulation + time).chunk(6, dim=1)[:2]
        return self.self_attn.queries_keys(self.norm1(x) * (1 + scale) + shift)

    def forward(self, x, time, context, angles, seen=None):
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + time).chunk(6, dim=1)
        x = x + gate1 * self.self_attn(self.norm1(x) * (1 + scale1) + shift1, angles=angles, seen=seen)
        x = x + self.cross_attn(self.norm3(x), context)
        return x + gate2 * self.ffn(self.norm2(x) * (1 + scale2) + shift2)


class Head(nn.Module):
    def __init__(self, shape: WanShape):
        super().__init__()
        self.norm = nn.LayerNorm(shape.width, eps=1e-6, elementwise_affine=False)
        self.head = nn.Linear(shape.width, math.prod(shape.patch) * shape.channels)
        self.modulation = nn.Parameter(torch.randn(1, 2, shape.width) / shape.width**0.5)

    def forward(self, x, time):
        shift, scale = (self.modulation + time[:, None]).chunk(2, dim=1)
        return self.head(self.norm(x) * (1 + scale) + shift)


def run_block(block: nn.Module, *arguments: torch.Tensor) -> torch.Tensor:
    return block(*arguments)


class WanDiT(nn.Module):
    def __init__(self, shape: WanShape):
        super().__init__()
        self.shape, width = shape, shape.width
        self.patch_embedding = nn.Conv3d(shape.channels, width, shape.patch, shape.patch)
        self.text_embedding = nn.Sequential(
            nn.Linear(shape.text_width, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
        )
        self.time_embedding = nn.Sequential(nn.Linear(shape.time_width, width), nn.SiLU(), nn.Linear(width, width))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.head = Head(shape)
        self.initialise()

    def initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embedding.weight.flatten(1))
        for module in (*self.text_embedding, *self.time_embedding):
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(self.head.head.weight)
        for block in self.blocks:
            nn.init.zeros_(block.self_attn.o.weight)
            nn.init.zeros_(block.cross_attn.o.weight)
            nn.init.zeros_(block.ffn[2].weight)
            self._prefer_neighbours(block.self_attn)

    def _prefer_neighbours(self, attention: Attention, bias: float = 2.0, fast: int = 4) -> None:
        """Equal q and k biases on RoPE's fastest pairs make nearby tokens attend to each other from the first step."""
        head = self.shape.width // self.shape.heads
        starts = (0, head - 4 * (head // 6), head - 2 * (head // 6))
        with torch.no_grad():
            for projection in (attention.q, attention.k):
                per_head = projection.bias.view(self.shape.heads, head)
                for start in starts:
                    per_head[:, start : start + 2 * fast] = bias

    def embed(self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the blocks get of a latent (B,16,F,h,w) at timestep (B,) = 1000 sigma under a text (B,M,4096).

        Returns:
            tokens (B,L,C), frame by frame; modulation (B,6,C), text (B,M,C) and angles (L,D/2) of every block; time
            (B,C), for the head.
        """
        patches = self.patch_embedding(x)
        half = self.shape.time_width // 2
        frequencies = 10000 ** (-torch.arange(half, device=x.device) / half)
        waves = timestep.float()[:, None] * frequencies
        time = self.time_embedding(torch.cat([waves.cos(), waves.sin()], 1).type_as(x))
        modulation = self.time_projection(time).unflatten(1, (6, -1))
        angles = rope_angles(*patches.shape[2:], self.shape.width // self.shape.heads, x.device)
        return patches.flatten(2).transpose(1, 2), modulation, self.text_embedding(context), angles, time

    def queries_keys(
        self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor, blocks: Collection[int], run=run_block
    ) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        """q and k (B,L,N,D) of the self-attention of `blocks`, not rotated, of a pass that ends at the last of them.

        run: (block, its arguments) -> its result; where checkpoints are set.
        """
        tokens, *given, _ = self.embed(x, timestep, context)
        taken = {}
        for number, block in enumerate(self.blocks[: max(blocks) + 1]):
            if number in blocks:
                taken[number] = block.queries_keys(tokens, given[0])
            if number < max(blocks):
                tokens = run(block, tokens, *given)
        return taken

    def forward(
        self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor,
        narrowed: tuple[int, ...] = (), reach: int = 0,
    ) -> torch.Tensor:  # fmt: skip
        """Velocity (noise - clean) of a latent (B,16,F,h,w) at timestep (B,) = 1000 sigma, text (B,M,4096).

        narrowed: blocks in which a token sees those of frames at most `reach` away; in all others it sees every frame.
        """
        tokens, modulation, context, angles, time = self.embed(x, timestep, context)
        pt, ph, pw = self.shape.patch
        frames, height, width = x.shape[2] // pt, x.shape[3] // ph, x.shape[4] // pw
        seen = frames_in_reach(frames, tokens.shape[1], reach, x.device) if narrowed else None
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, modulation, context, angles, seen if number in narrowed else None)
        return rearrange(
            self.head(tokens, time),
            "b (f h w) (pt ph pw c) -> b c (f pt) (h ph) (w pw)",
            f=frames,
            h=height,
            w=width,
            pt=pt,
            ph=ph,
            pw=pw,
        )
