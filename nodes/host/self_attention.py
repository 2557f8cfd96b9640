"""Standing in for a block's self-attention, for one call of the block."""

from collections.abc import Callable
from functools import partial


def with_self_attention(run: Callable, args: dict, extra: dict, instead: Callable) -> dict:
    """`run(args, extra)`, the replacement patch of a block, with `instead` in the place of its self-attention.

    Args:
        instead: (attend, q, k, v, heads, ...) -> the result of attention; `attend` is the attention that there was,
            with the arguments that follow it here. May raise to leave the block.
    """
    to = args["transformer_options"]
    attend = to.get("optimized_attention_override") or _as_it_is
    first = True  # the first attention of a block is its self-attention

    def override(func, *rest, **kwargs):
        nonlocal first
        if first:
            first = False
            return instead(partial(attend, func), *rest, **kwargs)
        return attend(func, *rest, **kwargs)

    return run({**args, "transformer_options": {**to, "optimized_attention_override": override}}, extra)


def _as_it_is(func, *args, **kwargs):
    return func(*args, **kwargs)
