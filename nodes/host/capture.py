"""Queries and keys of chosen self-attentions, from one pass through the user's own model that stops at the last.

Nothing is patched for longer than the pass: hooks go into a copy of the options the sampler hands over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import comfy.samplers
import torch
from comfy.ldm.modules.attention import attention_pytorch
from comfy.model_patcher import create_model_options_clone, set_model_options_patch_replace
from comfy.patcher_extension import WrappersMP, add_wrapper
from torch import Tensor

from ...vmt.errors import InputError, StateError, UnsupportedModelError
from ...vmt.flow_matching import velocity_from_clean
from ...vmt.token_grid import TokenGrid
from .checkpoint import checkpointed
from .self_attention import with_self_attention

# Wrappers of the host that skip the pass or replace the model by one that has no gradient.
LEFT_OUT = ("torch.compile", "easycache", "lazycache")


@dataclass
class Tap:
    """What to capture and how."""

    blocks: tuple[int, ...]
    num_blocks: int
    grid: TokenGrid
    rope: str = "pre"  # "pre": positions are taken out of q and k again
    checkpoint: str = "none"  # of checkpoint.CHECKPOINTS
    copy_staged: bool = False


@dataclass
class _Call:
    """What the self-attention of a tapped block got in one call of the model: q and k (B, L, heads*D), positions."""

    q: Tensor
    k: Tensor
    pe: Tensor
    heads: int


@dataclass
class _Store:
    open: bool = True
    calls: dict[int, list[_Call]] = field(default_factory=dict)


def capture_queries_keys(
    model, conds: list[dict], x: Tensor, sigma: Tensor, model_options: dict, tap: Tap
) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Run the model on x up to the last tapped block.

    Args:
        model: the host's BaseModel, loaded. conds: processed conditionings of one kind, e.g. guider.conds["positive"].
        x: (B, C, F, h, w) noisy latent in model space. sigma: (B,).
    Returns:
        queries, keys: block -> (M*B, N, heads, D), where M conditionings were seen, one after the other; in the dtype
        of the model, or float32 where positions were taken out.
    Gradient: to x, inside a grad scope.
    Raises:
        StateError: no conditioning is active, or a block showed no attention.
        InputError: a conditioning covers only a part of the video.
        UnsupportedModelError: the attention has a form that is not known.
    """
    store = _Store()
    options = _tapped_options(model_options, tap, store)
    try:
        comfy.samplers.calc_cond_batch(model, [conds], x, sigma, options)
    finally:
        store.open = False  # a checkpointed block that is computed again adds nothing
    for block in tap.blocks:
        if not store.calls.get(block):
            raise StateError(
                f"No attention was seen in block {block} at noise level {float(sigma[0]):.3f}; another node may "
                "replace or skip it, or no positive prompt is active there. Take attention and caching nodes off the "
                "MODEL line, or place Motion Guidance after them."
            )
    # Not before: operators inside a checkpointed block would be missing when it is computed again.
    front = _num_front_tokens(model, conds, tap.grid)
    queries, keys = {}, {}
    for block in tap.blocks:
        calls = store.calls[block]
        queries[block] = torch.cat([_video_tokens(call.q, call, tap, front) for call in calls])
        keys[block] = torch.cat([_video_tokens(call.k, call, tap, front) for call in calls])
    return queries, keys


def predicted_velocity(model, conds: list[dict], x: Tensor, sigma: Tensor, model_options: dict) -> Tensor:
    """Velocity (noise - clean) of x (B, C, F, h, w) at noise level sigma (B,), by the prompts of one kind.

    No gradient.
    """
    with torch.no_grad():
        start = x.detach()
        clean = comfy.samplers.calc_cond_batch(model, [conds], start, sigma, plain_options(model_options))[0]
        return velocity_from_clean(start, clean, sigma)


def _num_front_tokens(model, conds: list[dict], grid: TokenGrid) -> int:
    """Tokens of a reference picture that come before those of the video; others come after them."""
    has_picture = any("reference_latent" in cond.get("model_conds", {}) for cond in conds)
    return grid.per_frame if has_picture and getattr(model.diffusion_model, "ref_conv", None) is not None else 0


def _tapped_options(model_options: dict, tap: Tap, store: _Store) -> dict:
    """A copy of the options for this pass: taps, checkpoints, no blocks behind the last tap, plain attention."""
    options = plain_options(model_options)
    to = options["transformer_options"]
    # Faster attentions of other nodes have no gradient, or a wrong one without an error.
    to["optimized_attention_override"] = plain_attention
    add_wrapper(WrappersMP.APPLY_MODEL, _put_back_grad_mode, to)

    last = max(tap.blocks)
    previous = dict(to.get("patches_replace", {}).get("dit", {}))
    for block in range(tap.num_blocks):
        before = previous.get(("double_block", block))
        if block > last:
            patch = _pass_through
        elif block in tap.blocks:
            patch = _tapped_block(block, before, block == last, store)
        else:
            patch = before or plain_block
        if block < last:
            patch = checkpointed(patch, tap.checkpoint, tap.copy_staged)
        options = set_model_options_patch_replace(options, patch, "dit", "double_block", block)
    return options


def plain_options(model_options: dict) -> dict:
    """A copy of the options for a pass of ours: the whole video at once, by the model itself."""
    options = create_model_options_clone(model_options)
    options.pop("context_handler", None)  # windows over time would show the blocks parts of the video
    options.pop("multigpu_clones", None)
    for by_key in options.setdefault("transformer_options", {}).get("wrappers", {}).values():
        for key in LEFT_OUT:
            by_key.pop(key, None)
    return options


def plain_attention(func, *args, **kwargs):
    return attention_pytorch(*args, **kwargs)


def plain_block(args, extra):
    return extra["original_block"](args)


def _pass_through(args, extra):
    return args


def _put_back_grad_mode(executor, *args, **kwargs):
    grad_mode = torch.is_grad_enabled()
    try:
        return executor(*args, **kwargs)
    finally:
        torch.set_grad_enabled(grad_mode)


class Captured(Exception):
    """Leaves a block once what was wanted of its self-attention is known."""


def _tapped_block(block: int, before: Callable | None, is_last: bool, store: _Store) -> Callable:
    """The replacement patch of a tapped block; `before`, another node's patch of that block, still runs."""

    def replace(args, extra):
        def look(attend, q, k, v, heads, *rest, **kwargs):
            if store.open:
                check_form(q, kwargs)
                store.calls.setdefault(block, []).append(_Call(q, k, args["pe"], heads))
            if not is_last:
                return attend(q, k, v, heads, *rest, **kwargs)
            # All that matters is captured. What is left of the model runs on without being recorded; its result is
            # not used, so attention is spared, and the rest of the block where no other node stands around it.
            torch.set_grad_enabled(False)
            if before is None:
                raise Captured
            return torch.zeros_like(q)

        try:
            return with_self_attention(before or plain_block, args, extra, look)
        except Captured:
            return {**args, "img": args["img"].detach().clone()}  # a model may go on in place

    return replace


def check_form(q: Tensor, kwargs: dict) -> None:
    if q.ndim != 3 or kwargs.get("skip_reshape"):
        raise UnsupportedModelError(
            f"Attention works on a tensor of shape {tuple(q.shape)}; (batch, tokens, channels) is known. Another node "
            "may have changed the model's attention: take it off the MODEL line."
        )


def _video_tokens(x: Tensor, call: _Call, tap: Tap, front: int) -> Tensor:
    """(B, L, heads*D) as attention got it to (B, N, heads, D), video tokens only."""
    video = slice(front, front + tap.grid.num_tokens)
    if x.shape[1] < video.stop:
        raise InputError(
            f"The model sees {x.shape[1]} tokens, the video has {tap.grid.num_tokens}; a prompt may be limited to a "
            "rectangle by Conditioning (Set Area). A guided video must be seen whole: use no area."
        )
    x = x.unflatten(-1, (call.heads, -1))[:, video]
    return unrotate(x, call.pe[:, video]) if tap.rope == "pre" else x


def unrotate(x: Tensor, pe: Tensor) -> Tensor:
    """Takes rotary positions out of q or k again.

    Args:
        x: (B, N, heads, D) rotated. pe: (1, N, 1, D/2, 2, 2) the rotations, float32.
    Returns:
        (B, N, heads, D), at least float32; exact to rounding, since the inverse of a rotation is its transpose.
    """
    dtype = torch.promote_types(x.dtype, pe.dtype)
    pairs = x.to(dtype).unflatten(-1, (-1, 2))
    return torch.einsum("blhpi,blhpij->blhpj", pairs, pe.to(dtype)).flatten(-2)
