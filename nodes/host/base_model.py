"""Which checkpoint a loaded Wan model is: told by some of its weights, as the file has them."""

from ...vmt.lora.roles_file import fingerprint, marking_weights
from .model_check import WanSizes

PREFIXES = ("diffusion_model.", "_orig_mod.")  # the second where torch.compile wraps the model


def base_mark(patcher, wan: WanSizes) -> list[float]:
    """The fingerprint of a patcher's checkpoint: of the weights without LoRAs, loaded or not."""
    held = {}
    for name, patches in patcher.get_key_patches(PREFIXES[0]).items():
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        held[name] = patches[0][0]
    return fingerprint(marking_weights(held, wan.num_blocks))
