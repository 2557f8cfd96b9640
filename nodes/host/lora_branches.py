"""Branches of a LoRA in a loaded Wan model for as long as they are tuned: hooks on layers, no copy of any weight.

A hook adds to what a projection gives, so it does not matter in which numbers the weight is kept, whether it is staged
or changed by other LoRAs.
"""

import contextlib
from functools import partial

from ...vmt.lora.branches import PARTS, BranchLora


@contextlib.contextmanager
def branches_in(diffusion_model, branches: dict[str, BranchLora]):
    """Inside, the self-attention of every block has the updates of the branches, each with its strength."""
    handles = []
    try:
        for number, block in enumerate(diffusion_model.blocks):
            for part in PARTS:
                hook = partial(_add, branches, number, part)
                handles.append(getattr(block.self_attn, part).register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _add(branches: dict[str, BranchLora], block: int, part: str, layer, args: tuple, output):
    for branch in branches.values():
        output = branch.add_to(output, args[0], block, part)
    return output
