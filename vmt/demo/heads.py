"""What the demo model's attention heads do, measured as Decoupled-LoRA Tuner measures it, on the demo's reference."""

from __future__ import annotations

from pathlib import Path

import torch

from ..lora.head_roles import ROLES_SIGMA, HeadRoles, assign_roles, head_ratio
from ..lora.roles_file import fingerprint, marking_weights, save_roles
from ..lora.sparse_frames import auto_stride, sparse_latents
from ..synthetic import render
from ..token_grid import TokenGrid
from .reference_clip import reference_scene
from .sampling import clean_latent, load_dit, load_vae
from .vocabulary import encode
from .wan_dit import rope_angles, rotate

DIT_FILE = Path("diffusion_models") / "vmt_demo_wan_t2v.safetensors"
VAE_FILE = Path("vae") / "vmt_demo_wan_vae.safetensors"
FILE = Path("heads") / f"{DIT_FILE.stem}.json"


@torch.no_grad()
def measure_heads(folder: Path) -> HeadRoles:
    """Roles of the heads of the model in `folder`, from one pass over the thinned-out reference.

    Raises:
        InputError: there are no weights.
    """
    scene = reference_scene()
    frames = render(scene).frames
    stays = sparse_latents(len(frames), auto_stride(len(frames)))
    latent = clean_latent(load_vae(folder / VAE_FILE), frames[None])[:, :, stays].clone()
    dit = load_dit(folder / DIT_FILE)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
    grid = TokenGrid.from_latent_shape(latent.shape)
    tokens, modulation, text, _, _ = dit.embed(
        torch.lerp(latent, noise, ROLES_SIGMA), torch.tensor([1000 * ROLES_SIGMA]), encode(scene.caption)[0][None]
    )
    angles = _angles_in_the_whole_clip(stays, grid, dit.shape.width // dit.shape.heads)
    figures = []
    for number, block in enumerate(dit.blocks):
        q, k = (rotate(x, angles)[0] for x in block.queries_keys(tokens, modulation))
        figures.append(head_ratio(q, k, grid, seed=number))
        tokens = block(tokens, modulation, text, angles)
    return assign_roles(*(torch.stack(each) for each in zip(*figures, strict=True)))


def _angles_in_the_whole_clip(stays: torch.Tensor, grid: TokenGrid, head: int) -> torch.Tensor:
    """RoPE of the tokens of those latent frames."""
    latent_frames = int(stays[-1]) + 1
    whole = rope_angles(latent_frames, grid.height, grid.width, head).unflatten(0, (latent_frames, -1))
    return whole[stays].flatten(0, 1)


def write_heads(folder: Path) -> Path:
    """Measures the heads of the model in `folder` and keeps the table beside it. Returns the table's path."""
    roles, dit = measure_heads(folder), load_dit(folder / DIT_FILE)
    mark = fingerprint(marking_weights(dict(dit.named_parameters()), dit.shape.blocks))
    told = f"WanModel, {dit.shape.blocks} blocks, {dit.shape.heads} heads of {dit.shape.width // dit.shape.heads}"
    save_roles(folder / FILE, roles, mark, told)
    return folder / FILE
