import math
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vmt.signals import displacement
from vmt.signals.displacement import hard_displacement, soft_displacement
from vmt.signals.frame_pairs import frame_pairs
from vmt.signals.matching import pair_scores
from vmt.signals.windows import window_centres, window_size
from vmt.token_grid import TokenGrid


def slow_displacement(q, k, pairs, centres, window, grid, temperature, per_head):
    """The definition, one token and one window position at a time."""
    out = torch.zeros(len(pairs), grid.per_frame, 2, dtype=q.dtype)
    for p, (i, j) in enumerate(pairs.tolist()):
        for s in range(grid.per_frame):
            start = [int(c) - size // 2 for c, size in zip(centres[p, s], window, strict=True)]
            places = [(start[0] + y, start[1] + x) for y in range(window[0]) for x in range(window[1])]
            keys = torch.stack([k[0, j * grid.per_frame + y * grid.width + x] for y, x in places])
            logits = temperature * (keys * q[0, i * grid.per_frame + s]).sum(-1) / math.sqrt(q.shape[-1])
            logits = logits.T if per_head else logits.mean(-1)[None]
            found = logits.softmax(-1) @ torch.tensor(places, dtype=q.dtype)
            out[p, s] = found.mean(0) - torch.tensor([s // grid.width, s % grid.width])
    return out


@pytest.fixture(params=[0, 10**9], ids=["place by place", "out of the map"])
def either_way(request, monkeypatch):
    """Windows read in both ways that there are."""
    monkeypatch.setattr(displacement, "WHOLE_MAP", request.param)


@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize("radius", [1, 2, None])
def test_fast_equals_slow(radius, per_head, either_way):
    grid, pairs = TokenGrid(3, 4, 5), frame_pairs(3, 2)
    generator = torch.Generator().manual_seed(0)
    q, k = 2 * torch.randn(2, 1, 60, 3, 4, generator=generator, dtype=torch.float64)
    centres = window_centres(torch.randint(20, (3, 20), generator=generator), grid, radius)
    given = (q, k, pairs, centres, window_size(grid, radius), grid)
    fast = soft_displacement(*given, temperature=1.3, per_head=per_head)
    torch.testing.assert_close(fast[0], slow_displacement(*given, 1.3, per_head), atol=1e-12, rtol=0)


@pytest.mark.parametrize("radius", [1, 2, None])
def test_attention_on_one_place_gives_that_place_exactly(radius, either_way):
    """No slot is masked out, and no slot has another one's coordinate (a public implementation does both)."""
    grid, pairs = TokenGrid(2, 5, 6), frame_pairs(2, 1)
    window = window_size(grid, radius)
    keys = torch.eye(30).expand(2, 30, 30).reshape(1, 60, 1, 30)
    for offset in range(-7, 8):
        target = (torch.arange(30) + offset) % 30
        queries = 1e4 * torch.eye(30)[target].repeat(2, 1)[None, :, None]
        given = (queries, keys, pairs, window_centres(target[None], grid, radius), window, grid)
        exact = grid.positions()[target] - grid.positions()
        assert torch.equal(soft_displacement(*given)[0, 0], exact)
        assert torch.equal(hard_displacement(*given)[0, 0], exact)


def every_key_can_be_reached_by_the_gradient(displacement):
    """Identity motion on the published window."""
    grid, pairs = TokenGrid(2, 30, 52), frame_pairs(2, 1)
    q, k = torch.randn(2, 1, grid.num_tokens, 1, 8, generator=torch.Generator().manual_seed(0))
    k.requires_grad_()
    centres = window_centres(torch.arange(grid.per_frame)[None], grid, radius=10)
    displacement(q, k, pairs, centres, (21, 21), grid).square().sum().backward()
    assert (grid.split_frames(k.grad)[0, 1].abs().sum((-1, -2)) > 0).all()
    assert (grid.split_frames(k.grad)[0, 0] == 0).all()  # frame 0 is only asked, never searched


def test_every_key_can_be_reached_by_the_gradient(either_way):
    every_key_can_be_reached_by_the_gradient(soft_displacement)


@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize("radius", [1, None])
@pytest.mark.parametrize("memory_limit", [1, 2**30])
def test_gradient_against_finite_differences(radius, per_head, memory_limit, either_way):
    grid, pairs = TokenGrid(3, 3, 4), frame_pairs(3, 2)
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 2, 36, 2, 3, generator=generator, dtype=torch.float64)
    centres = window_centres(torch.randint(12, (3, 12), generator=generator), grid, radius)
    window = window_size(grid, radius)

    def measure(q, k):
        return soft_displacement(q, k, pairs, centres, window, grid, temperature=1.5, per_head=per_head,
                                 memory_limit=memory_limit)  # fmt: skip

    assert torch.autograd.gradcheck(measure, (q.requires_grad_(), k.requires_grad_()), fast_mode=True)


def test_chunks_change_neither_value_nor_gradient(either_way):
    grid, pairs = TokenGrid(5, 4, 6), frame_pairs(5, 3)
    q, k = torch.randn(2, 2, grid.num_tokens, 2, 8, generator=torch.Generator().manual_seed(0))
    centres = window_centres(torch.arange(24).expand(len(pairs), -1), grid, 1)
    results = []
    for memory_limit in (2**30, 1):
        leaf_q, leaf_k = q.clone().requires_grad_(), k.clone().requires_grad_()
        moved = soft_displacement(leaf_q, leaf_k, pairs, centres, (3, 3), grid, memory_limit=memory_limit)
        moved.square().sum().backward()
        results.append((moved, leaf_q.grad, leaf_k.grad))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(whole, chunked)


class LiveBytes(TorchDispatchMode):
    """Most bytes that tensors made inside held at one time, counted by storage."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.seen:
                self.add(tensor.untyped_storage())
        return out

    def add(self, storage):
        size, key = storage.nbytes(), storage._cdata
        self.now, self.peak = self.now + size, max(self.peak, self.now + size)
        self.seen.add(key)
        weakref.finalize(storage, self.remove, key, size)

    def remove(self, key, size):
        self.now -= size
        self.seen.discard(key)


@pytest.mark.parametrize(("radius", "tile"), [(2, (1, 1)), (10, (3, 4)), (None, (1, 1))])
def test_memory_of_forward_and_backward_at_full_size(radius, tile):
    """81 frames of 480x832 on the 1.3B model: below 1 GB beside q and k. Shapes only, nothing computed."""
    grid, pairs = TokenGrid(21, 30, 52), frame_pairs(21, 3)
    q, k = (torch.empty(1, grid.num_tokens, 12, 128, device="meta", dtype=torch.bfloat16) for _ in range(2))
    centres = window_centres(torch.arange(grid.per_frame).expand(57, -1), grid, radius, tile).to("meta")
    q.requires_grad_(), k.requires_grad_()
    with LiveBytes() as live:
        moved = soft_displacement(q, k, pairs, centres, window_size(grid, radius), grid)
        assert moved.shape == (1, 57, 1560, 2)
        moved.sum().backward()
    assert 100e6 < live.peak < 1e9
    # What one gather of the keys of every window would take, for the smallest of these windows.
    assert 57 * 1560 * 25 * 1536 * 2 > 5e9


def test_memory_of_small_windows_grows_with_their_places_not_with_the_frame():
    """One pair of frames with four times the tokens: four times the memory, where the map would take sixteen times."""
    peaks = []
    for height, width in ((30, 52), (60, 104)):
        grid = TokenGrid(2, height, width)
        q, k = (torch.empty(1, grid.num_tokens, 1, 4, device="meta", requires_grad=True) for _ in range(2))
        centres = window_centres(torch.arange(grid.per_frame)[None], grid, 2).to("meta")
        with LiveBytes() as live:
            soft_displacement(q, k, frame_pairs(2, 1), centres, (5, 5), grid).sum().backward()
        peaks.append(live.peak)
    assert 3.9 < peaks[1] / peaks[0] < 4.1
    assert peaks[1] < 4 * grid.per_frame**2


def test_hard_displacement_has_no_gradient_and_takes_the_best_of_the_window():
    grid, pairs = TokenGrid(2, 4, 5), frame_pairs(2, 1)
    q, k = torch.randn(2, 1, 40, 2, 4, generator=torch.Generator().manual_seed(0))
    centres = window_centres(torch.arange(20)[None], grid, None)
    moved = hard_displacement(q.requires_grad_(), k, pairs, centres, (4, 5), grid)
    best = pair_scores(q, k, pairs, grid, 1.0)[0, 0, 0].argmax(-1)
    assert not moved.requires_grad
    assert torch.equal(moved[0, 0], grid.positions()[best] - grid.positions())
