"""What the attention heads of a loaded model do: from a table of it, or measured on the clip."""

import hashlib
import logging
from pathlib import Path

import torch

from ...vmt.lora.head_roles import ROLES_SIGMA, HeadRoles
from ...vmt.lora.roles_file import find_roles, read_roles, save_roles
from ...vmt.lora.tune import Sample
from ...vmt.token_grid import TokenGrid
from .model_check import WanSizes
from .node_text import show_on_node
from .tuning_files import kept_tables
from .tuning_pass import TuningPass

KEPT_FROM = 5  # latent frames of a clip on which heads are told apart for good; of fewer they look different
SHIPPED = Path(__file__).resolve().parents[2] / "vmt" / "demo" / "weights" / "heads"


def known_roles(mark: list[float], wan: WanSizes) -> HeadRoles | None:
    return find_roles((kept_tables(), SHIPPED), mark, (wan.num_blocks, wan.num_heads))


def head_roles(model: TuningPass, wan: WanSizes, mark: list[float], reference: Sample, grid: TokenGrid) -> HeadRoles:
    """What the heads do: from the table of the model with this fingerprint, or measured on the clip.

    What was measured on a clip that is long enough is kept as the model's table.
    """
    roles = known_roles(mark, wan)
    if roles is None:
        show_on_node("Telling spatial heads from temporal ones")
        noise = torch.randn(reference.latent.shape, generator=torch.Generator().manual_seed(0)).to(reference.latent)
        noisy = torch.lerp(reference.latent, noise, ROLES_SIGMA)
        roles = model.head_roles(noisy, ROLES_SIGMA, reference.positions, grid, seed=0)
        if grid.frames >= KEPT_FROM:
            roles = _keep_table(roles, wan, mark)
    logging.info(f"[VMT] {roles}")
    return roles


def _keep_table(roles: HeadRoles, wan: WanSizes, mark: list[float]) -> HeadRoles:
    """The roles as the table has them: rounded, the same now as in later runs."""
    table = kept_tables() / f"{hashlib.sha256(repr(mark).encode()).hexdigest()[:16]}.json"
    try:
        save_roles(table, roles, mark, str(wan))
        return read_roles(table)[0]
    except OSError as error:
        logging.warning(f"[VMT] The table of heads cannot be kept ({error}); it is measured again next time.")
        return roles
