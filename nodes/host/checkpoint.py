"""Forgetting a block's activations in the forward pass and computing them again in the backward pass.

One unchecked block of Wan 14B keeps 7 to 10 GB at 832x480x81.
"""

import types
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts, set_checkpoint_early_stop

from .gradients import grad_scope
from .model_check import WanSizes
from .versions import free_memory, is_dynamic

CHECKPOINTS = ("none", "selective", "block")  # each keeps less than the one before
# The fused kernels of attention. In a long video they are most of a block's time, and their results are a small part of
# what it would keep.
ATTENTION = [
    getattr(torch.ops.aten, name).default
    for name in (
        "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
    )
    if hasattr(torch.ops.aten, name)
]  # fmt: skip


def kept_per_token(kept: str, dim: int, ffn_dim: int) -> int:
    """Values that autograd keeps of a block for each token.

    All: about 20 of the model's width and 3 of the feed-forward's. Else its input, and the results of its two
    attentions.
    """
    of_width = {"none": 20, "selective": 3, "block": 1}[kept]
    return of_width * dim + (3 * ffn_dim if kept == "none" else 0)


def compute_dtype(model) -> torch.dtype:
    """What a loaded model computes in, whatever its weights are stored in."""
    return model.manual_cast_dtype or model.get_dtype()


def copied_bytes(patcher, blocks: Iterable[nn.Module]) -> int:
    """Bytes of the weights of some blocks of a loaded model that are not used as they lie, but as copies.

    The host makes one at every use of a weight that is stored in another dtype (fp8), lies on another device, or has a
    LoRA that is added when it is used. Without checkpoints autograd keeps them all until the backward pass: for a 14B
    model in fp8 up to block 14 that is about 10 GB. Computed again, a block's copies are gone with the block.
    """
    dtype, device = compute_dtype(patcher.model), patcher.load_device
    total = 0
    for module in chain.from_iterable(block.modules() for block in blocks):
        for name, weight in module.named_parameters(recurse=False):
            as_it_lies = weight.dtype == dtype and weight.device == device and not is_dynamic(patcher)
            if not as_it_lies or getattr(module, f"{name}_function", None):
                total += weight.numel() * dtype.itemsize
    return total


def fitting(patcher, wan: WanSizes, num_blocks: int, num_tokens: int) -> tuple[str, ...]:
    """CHECKPOINTS from the first on that fills at most half of the free memory; the last if none does.

    Args:
        patcher: of a loaded model. num_blocks: its first ones, which a gradient goes through; VACE's between them, of
            which all is kept whatever way is taken, are counted beside them. num_tokens: of all videos in one block.
    """
    model, token_bytes = patcher.model.diffusion_model, num_tokens * compute_dtype(patcher.model).itemsize
    beside = sum(block < num_blocks for block in getattr(model, "vace_layers_mapping", ()))
    of_vace = beside * token_bytes * kept_per_token("none", wan.dim, wan.ffn_dim)
    of_vace += copied_bytes(patcher, model.vace_blocks[:beside]) if beside else 0
    room = free_memory(patcher) / 2 - of_vace
    for number, kept in enumerate(CHECKPOINTS):
        weights = copied_bytes(patcher, model.blocks[:num_blocks]) if kept == "none" else 0
        if num_blocks * kept_per_token(kept, wan.dim, wan.ffn_dim) * token_bytes + weights <= room:
            return CHECKPOINTS[number:]
    return CHECKPOINTS[-1:]


def freeze(function: Callable) -> Callable:
    """A copy of `function` whose closure keeps the values it has now.

    ComfyUI hands a block out as a closure over a loop variable. Called again in the backward pass, when the loop is
    over, it would run the last block instead: the gradient is then wrong by several per cent, without any error.
    """
    if not isinstance(function, types.FunctionType) or not function.__closure__:
        return function
    frozen = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        tuple(_copy_cell(cell) for cell in function.__closure__),
    )  # fmt: skip
    frozen.__kwdefaults__ = function.__kwdefaults__
    return frozen


def _copy_cell(cell: types.CellType) -> types.CellType:
    try:
        return types.CellType(cell.cell_contents)
    except ValueError:  # an empty cell: a variable that was never assigned
        return types.CellType()


def checkpointed(patch: Callable, kept: str, copy_staged: bool = False) -> Callable:
    """The replacement patch `patch(args, extra)` of a block, with its activations computed again when needed.

    kept: of CHECKPOINTS. "none": nothing is computed again, the patch itself. "selective": results of attention stay,
    all else is computed again. "block": everything is.
    """
    if kept == "none":
        return patch
    contexts = {"context_fn": partial(create_selective_checkpoint_contexts, ATTENTION)} if kept == "selective" else {}

    def replace(args, extra):
        if not (torch.is_grad_enabled() and args["img"].requires_grad):
            return patch(args, extra)
        # All that the host shares between blocks is copied: at recompute it holds what the last block left there.
        extra = {**extra, "original_block": freeze(extra["original_block"])}
        rest = {**args, "transformer_options": dict(args["transformer_options"])}
        del rest["img"]

        def body(img):
            with grad_scope(copy_staged):
                return patch({**rest, "img": img}, extra)["img"]

        # Stopping early would throw an exception through other packs' patches, and would save next to nothing.
        with set_checkpoint_early_stop(False):
            return {"img": checkpoint(body, args["img"], use_reentrant=False, preserve_rng_state=False, **contexts)}

    return replace
