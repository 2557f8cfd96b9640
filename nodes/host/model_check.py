"""Whether a loaded model can be guided, and what of it the rest needs to know."""

from dataclasses import dataclass

import comfy.model_sampling
from comfy.ldm.wan.model import VaceWanModel, WanModel

from ...vmt.errors import InputError, UnsupportedModelError

BACKBONES = (WanModel, VaceWanModel)  # exactly these: their variants patch and condition themselves differently
SUPPORTED = "Wan 2.1 and 2.2 text-to-video, image-to-video and VACE models are allowed"


@dataclass(frozen=True)
class WanSizes:
    """Sizes of a loaded Wan model."""

    kind: str
    num_blocks: int
    dim: int
    num_heads: int
    ffn_dim: int
    text_dim: int
    channels: int  # of the latent
    patch: tuple[int, int, int]
    pixels: int  # of one latent cell

    def __str__(self) -> str:
        return f"{self.kind}, {self.num_blocks} blocks, {self.num_heads} heads of {self.dim // self.num_heads}"

    def clip_size(self, grid) -> str:
        """The clip that gives a token grid, as users say it: '33 frames at 832x480'."""
        side_y, side_x = self.patch[1] * self.pixels, self.patch[2] * self.pixels
        return f"{4 * (grid.frames - 1) + 1} frames at {grid.width * side_x}x{grid.height * side_y}"


def check_wan(patcher) -> WanSizes:
    """Sizes of the model of a patcher.

    Raises:
        UnsupportedModelError: it is no Wan model, or a Wan variant that guidance does not know.
    """
    base = patcher.model
    model = getattr(base, "diffusion_model", None)
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if type(model) not in BACKBONES:
        name = f"{type(base).__name__} ({type(model).__name__})"
        family = "another kind of Wan model" if isinstance(model, WanModel) else "not a Wan model"
        raise UnsupportedModelError(
            f"The model is {name}, {family}; {SUPPORTED}. Load such a model with Load Diffusion Model."
        )
    if not isinstance(patcher.get_model_object("model_sampling"), comfy.model_sampling.CONST):
        raise UnsupportedModelError(
            "The model's sampling was changed to one that is not flow matching; Wan needs flow matching. Take "
            "ModelSamplingDiscrete or similar nodes off the MODEL line; ModelSamplingSD3 is fine."
        )
    latent_format = base.latent_format
    return WanSizes(
        kind=type(model).__name__, num_blocks=len(model.blocks), dim=model.dim, num_heads=model.num_heads,
        ffn_dim=model.ffn_dim, text_dim=model.text_dim, channels=latent_format.latent_channels,
        patch=tuple(model.patch_size), pixels=_pixels_per_cell(latent_format),
    )  # fmt: skip


def check_gradient(patcher, wan: WanSizes) -> None:
    """Raises UnsupportedModelError for weights whose products have no gradient that the host can give."""
    for module in patcher.model.diffusion_model.modules():
        native = getattr(module, "layout_type", None) and not getattr(module, "_full_precision_mm", False)
        if native and hasattr(module.weight, "_qdata"):
            raise UnsupportedModelError(
                f"The model is {wan} with quantised weights (scaled fp8 or similar) that are multiplied as they are, "
                "without a gradient; fp16, bf16, fp32 and plain fp8 (weight_dtype of Load Diffusion Model) can be "
                "used. Load such a file, or take the preset free, which needs no gradient through the model."
            )


def _pixels_per_cell(latent_format) -> int:
    # 0.3.75 does not say; of the two Wan formats the one with 48 channels has larger cells.
    return getattr(latent_format, "spacial_downscale_ratio", 16 if latent_format.latent_channels == 48 else 8)


def auto_block(num_blocks: int) -> int:
    """The block that 'auto' means: the last of the first half, at most block 14.

    FastVMT (arXiv 2602.05551) and DiTFlow (2412.07776) use block 14 of Wan's 30 and of 40.
    """
    return min(14, (num_blocks + 1) // 2 - 1)


def parse_blocks(text: str, num_blocks: int) -> tuple[int, ...]:
    """Block numbers of an input such as 'auto', '14' or '2, 4', ascending, each once.

    Raises:
        InputError: not numbers, or blocks that the model does not have.
    """
    text = text.strip().lower()
    if text in ("auto", ""):
        return (auto_block(num_blocks),)
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and part.isascii() for part in parts):
        raise InputError(
            f"Blocks are {text!r}; 'auto' or block numbers separated by commas, such as '2, 4', are allowed. "
            "Correct them, or enter auto."
        )
    blocks = tuple(sorted({int(part) for part in parts}))
    if max(blocks) >= num_blocks:
        raise InputError(
            f"Guided block {max(blocks)} does not exist: this Wan model has blocks 0 to {num_blocks - 1}. "
            "Choose a lower block, or 'auto'."
        )
    return blocks
