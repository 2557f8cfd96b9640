"""What a pass through a Wan of any size costs, counted on meta tensors: no weights, no memory, no GPU.

The model is the demo's own Wan at another size. Attention is a stand-in that knows the shape of its result and the
operations of a fused kernel: 4 N M C forward and, since the map is computed again, 10 N M C backward.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts
from torch.utils.flop_counter import flop_registry, shape_wrapper

from ..demo.wan_dit import Attention, WanDiT, WanShape, run_block
from ..half_size import half_grid, half_latent
from ..lora.branches import PARTS, BranchLora
from ..signals.attention_flow import AttentionFlow, AttentionFlowConfig, BlockFlow, attention_flow_loss
from ..signals.frame_pairs import frame_pairs
from ..signals.latent_flow import LatentFlow, latent_flow_loss, matched_size
from ..token_grid import TokenGrid

TEXT_TOKENS = 512
CHECKPOINTS = ("none", "selective", "block", "nested")

META = torch.device("meta")  # tensors have sizes and no numbers
_once = cache  # of a pass through sizes that are equal


@torch.library.custom_op("vmt_count::attention", mutates_args=())
def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    raise NotImplementedError("This attention is counted, never computed.")


@torch.library.custom_op("vmt_count::attention_backward", mutates_args=())
def _attention_backward(
    gradient: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, log_sum: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    raise NotImplementedError("This attention is counted, never computed.")


@_attention.register_fake
def _(q, k, v):
    return torch.empty_like(q), q.new_empty(q.shape[:-1], dtype=torch.float32)


@_attention_backward.register_fake
def _(gradient, q, k, v, out, log_sum):
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _keep(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs, *output)


def _backward(ctx, gradient, _):
    return _attention_backward(gradient, *ctx.saved_tensors)


_attention.register_autograd(_backward, setup_context=_keep)


def _operations(q_shape, k_shape) -> int:
    batch, heads, queries, channels = q_shape
    return 4 * batch * heads * queries * k_shape[2] * channels


OPERATIONS = {
    **flop_registry,
    torch.ops.vmt_count.attention: shape_wrapper(lambda q, k, *_, **__: _operations(q, k)),
    torch.ops.vmt_count.attention_backward: shape_wrapper(lambda _, q, k, *__, **___: 10 * _operations(q, k) // 4),
}


class Operations(TorchDispatchMode):
    """Counts floating-point operations by PyTorch's own formulas.

    Its counter would look first whether an operation is made of others, which takes most of its time (of those below
    autograd none is), and hold on to what checkpointing computes again, which `LiveBytes` would then count.
    """

    flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if formula := OPERATIONS.get(function._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


class LiveBytes(TorchDispatchMode):
    """The most that results of operations took at one time, in bytes; what was there before does not count."""

    def __enter__(self):
        self.peak = self._live = 0
        self._known: dict[int, weakref.ref] = {}
        return super().__enter__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage(), given)
        return result

    def _see(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._known or key in given:  # a view
            return
        self._known[key] = weakref.ref(storage, partial(self._gone, key, size))
        self._live += size
        self.peak = max(self.peak, self._live)

    def _gone(self, key: int, size: int, _) -> None:
        del self._known[key]
        self._live -= size


@dataclass(frozen=True)
class Cost:
    """forwards, backwards: in passes of one video through the whole model, as `compute.Compute` counts them."""

    flops: int = 0
    forwards: float = 0.0
    backwards: float = 0.0
    peak_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops, self.forwards + other.forwards, self.backwards + other.backwards,
            max(self.peak_bytes, other.peak_bytes),
        )  # fmt: skip

    def __mul__(self, times: int) -> Cost:
        peak = self.peak_bytes if times else 0
        return Cost(self.flops * times, self.forwards * times, self.backwards * times, peak)


@dataclass(frozen=True)
class FakeWan:
    """A Wan without weights, in bfloat16, that makes one video of `latent` = (frames, height, width).

    What a pass costs is told by the sizes alone, so it is counted once for all that are equal.
    """

    shape: WanShape
    latent: tuple[int, int, int]
    text_tokens: int = TEXT_TOKENS
    _counts: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def grid(self) -> TokenGrid:
        return TokenGrid.from_latent_shape((1, self.shape.channels, *self.latent))

    @property
    def _dit(self) -> WanDiT:
        return _model(self.shape)

    @cached_property
    def _given(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latent, timestep and text."""
        with META:
            latent = torch.empty(1, self.shape.channels, *self.latent, dtype=torch.bfloat16)
            text = torch.empty(1, self.text_tokens, self.shape.text_width, dtype=torch.bfloat16)
            return latent, torch.empty(1), text

    @_once
    def forward(self) -> Cost:
        """A whole pass for one prompt."""
        return self._pass()

    def _pass(self) -> Cost:
        return self._counted(lambda: self._dit(*self._given), grad=False)

    @_once
    def cut(self, blocks: tuple[int, ...], through: int = 0, half: bool = False) -> Cost:
        """A pass up to q and k of the deepest of `blocks`: a look at the reference.

        through: run so many blocks. half: at half the height and width.
        """
        return self._counted(lambda: self._queries_keys(self._seen(half), blocks, through), grad=False)

    @_once
    def gradient(
        self, blocks: tuple[int, ...], config: AttentionFlowConfig, kept: str = "none", through: int = 0,
        half: bool = False, both_ways: bool = False,
    ) -> Cost:  # fmt: skip
        """The AMF loss of q and k of `blocks` and its gradient to the latent.

        kept: of CHECKPOINTS: what the forward pass forgets, and the backward pass computes again. "selective" keeps
            the results of attention alone; "nested" forgets attention once more inside a forgotten block.
        half: the model sees the latent at half height and width.
        """
        run = RUNS[kept]

        def work():
            latent = self._given[0].float().requires_grad_()
            taken = self._queries_keys(self._seen(half, latent), blocks, through, run)
            grid, read = (half_grid(self.grid), config.at_half_size()) if half else (self.grid, config)
            flow = unknown_flow(grid, read, blocks)
            queries, keys = ({n: qk[i] for n, qk in taken.items()} for i in (0, 1))
            torch.autograd.grad(attention_flow_loss(flow, queries, keys, both_ways=both_ways).sum(), latent)

        return self._counted(work, grad=True)

    @_once
    def tuning_step(self, heads: int, rank: int, kept: str = "none", beside: tuple[int, int] | None = None) -> Cost:
        """A pass through the whole model and back to a LoRA of its self-attention.

        Args:
            heads: of each block, that the LoRA reaches. kept: as in `gradient`.
            beside: heads and rank of another LoRA, which stands and is not trained.
        """
        trained, *others = (self._branch(*sizes) for sizes in ((heads, rank), beside) if sizes)
        parameters = list(trained.parameters())

        def work():
            latent, *others = self._given
            tokens, *given, _ = self._dit.embed(latent.clone().requires_grad_(), *others)
            for block in self._dit.blocks:
                tokens = RUNS[kept](block, tokens, *given)
            torch.autograd.grad(tokens.float().square().mean(), parameters)

        with self._standing(trained, *(other.requires_grad_(False) for other in others)):
            return self._counted(work, grad=True)

    @_once
    def tuning_look(self, heads: int, rank: int, beside: tuple[int, int] | None = None) -> Cost:
        """A whole pass for one prompt with the LoRAs of `tuning_step`."""
        with self._standing(*(self._branch(*sizes) for sizes in ((heads, rank), beside) if sizes)):
            return self._pass()

    def _branch(self, heads: int, rank: int) -> BranchLora:
        reached = (torch.arange(self.shape.heads) < heads).expand(self.shape.blocks, -1)
        return BranchLora(reached, self.shape.width, rank).bfloat16().to(META)

    @contextmanager
    def _standing(self, *branches: BranchLora) -> Iterator[None]:
        """Inside, the self-attention of every block has the updates of the branches."""

        def add(number, part, _, given, result):
            for branch in branches:
                result = branch.add_to(result, given[0], number, part)
            return result

        hooks = [
            getattr(block.self_attn, part).register_forward_hook(partial(add, number, part))
            for number, block in enumerate(self._dit.blocks)
            for part in PARTS
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @_once
    def latent_gradient(self, config: AttentionFlowConfig) -> Cost:
        """The loss of a predicted clip's latent flow, beside an AMF of that config, and its gradient to the clip."""

        def work():
            clip = self._given[0].float().requires_grad_()
            pairs, size = frame_pairs(self.grid.frames, config.span), matched_size(self.grid)
            of_pairs = (len(pairs), *size)
            flow = LatentFlow(self.grid, config, pairs, torch.empty(*of_pairs, 2), torch.empty(of_pairs))
            torch.autograd.grad(latent_flow_loss(flow, clip).sum(), clip)

        return self._counted(work, grad=True)

    def _seen(self, half: bool, latent: torch.Tensor | None = None) -> torch.Tensor:
        latent = self._given[0] if latent is None else latent
        return (half_latent(latent, torch.tensor(0.5))[0] if half else latent).bfloat16()

    def _queries_keys(self, latent, blocks, through, run=run_block):
        last = max(max(blocks), through)
        taken = self._dit.queries_keys(latent, *self._given[1:], {*blocks, last}, run)
        self._rest_of(self._dit.blocks[last], TokenGrid.from_latent_shape(latent.shape).num_tokens)
        return {block: taken[block] for block in blocks}

    @torch.no_grad()
    def _rest_of(self, block, num_tokens: int) -> None:
        """A host's block is left where its attention begins: v is there already."""
        block.self_attn.v(torch.empty(1, num_tokens, self.shape.width, dtype=torch.bfloat16))
        self._counts["forward"] += 1

    def _counted(self, work: Callable[[], object], grad: bool) -> Cost:
        counts, _ = self._counts, self._given  # what is given is there before, and does not count
        counts.update(forward=0, backward=0)
        hooks = [block.register_forward_pre_hook(partial(_count, counts)) for block in self._dit.blocks]
        counter, live = Operations(), LiveBytes()
        try:
            with META, counter, live, torch.set_grad_enabled(grad):
                work()
        finally:
            for hook in hooks:
                hook.remove()
        passes = (counts[name] / self.shape.blocks for name in ("forward", "backward"))
        return Cost(counter.flops, *passes, live.peak)


@cache
def _model(shape: WanShape) -> WanDiT:
    with META:
        dit = WanDiT(shape).bfloat16().requires_grad_(False)
    for module in dit.modules():
        if isinstance(module, Attention):
            module.attend = lambda q, k, v, seen=None: _attention(q, k, v)[0]
    return dit


def _count(counts: dict[str, int], block, arguments) -> None:
    counts["forward"] += 1
    x = arguments[0]
    if torch.is_grad_enabled() and x.requires_grad and not hasattr(x, "_counted"):
        x._counted = True  # once: a block that is computed again gets the same tensor
        x.register_hook(lambda gradient: counts.__setitem__("backward", counts["backward"] + 1))


def _again(block, *arguments):
    return checkpoint(block, *arguments, use_reentrant=False, preserve_rng_state=False)


def _again_but_attention(block, *arguments):
    def policy(context, function, *args, **kwargs):
        keeps = function == torch.ops.vmt_count.attention.default
        return CheckpointPolicy.MUST_SAVE if keeps else CheckpointPolicy.PREFER_RECOMPUTE

    contexts = partial(create_selective_checkpoint_contexts, policy)
    return checkpoint(block, *arguments, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


def _again_and_again(block, *arguments):
    attention = block.self_attn
    once = attention.attend

    def run(*arguments):
        attention.attend = partial(checkpoint, once, use_reentrant=False, preserve_rng_state=False)
        try:
            return block(*arguments)
        finally:
            attention.attend = once

    return _again(run, *arguments)


RUNS = {"none": run_block, "block": _again, "selective": _again_but_attention, "nested": _again_and_again}


def unknown_flow(grid: TokenGrid, config: AttentionFlowConfig, blocks: tuple[int, ...]) -> AttentionFlow:
    """A reference's AMF whose values do not matter."""
    pairs = frame_pairs(grid.frames, config.span)
    of_pairs = (len(pairs), grid.per_frame)
    centres, moved = torch.empty(*of_pairs, 2, dtype=torch.int16), torch.empty(*of_pairs, 2)
    empty = BlockFlow(centres, moved, torch.empty(of_pairs), centres, moved)
    return AttentionFlow(grid, config, pairs, dict.fromkeys(blocks, empty), "pre", 0.5, "")
