"""Block matching on pictures whose displacement is known."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import avg_pool2d

from vmt.signals import block_matching
from vmt.signals.block_matching import (
    BlockMatching,
    displacement_and_likeness,
    displacement_and_surprise,
)


def displacement(first, second, config=None):
    return displacement_and_likeness(first, second, config)[0]


def picture(seed=0, height=20, width=24, number=1):
    """Rough and smooth parts alike, around 0."""
    rough = torch.randn(number, 8, height, width, generator=torch.Generator().manual_seed(seed))
    smooth = avg_pool2d(rough.roll(7, 3), 5, 1, 2)
    return rough + 3 * smooth - (rough + 3 * smooth).mean((2, 3), keepdim=True)


def inner(moved):
    return moved[:, 5:-5, 5:-5]


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (-1, -1), (0, -2), (2, 1)])
def test_a_translation_is_read(shift):
    first = picture()
    found = displacement(first, first.roll(shift, (2, 3)))
    expected = torch.tensor(shift, dtype=torch.float32)
    torch.testing.assert_close(inner(found), expected.expand_as(inner(found)), atol=0.15, rtol=0)


def test_contrast_does_not_count():
    first = picture()
    second = first.roll(1, 3)
    torch.testing.assert_close(displacement(first / 100, second * 30), displacement(first, second), atol=1e-4, rtol=0)


def test_what_stands_still_has_not_moved_at_all():
    """At a border and in front of an even ground too, where an expectation over a window leans inwards."""
    for first in (picture(), torch.zeros(1, 8, 20, 24), picture() * (torch.arange(24) < 8)):
        assert displacement(first, first).abs().max() == 0


def test_both_ways_are_one_motion():
    first, second = picture(), picture(1)
    assert torch.equal(displacement(first, second), -displacement(second, first))


def test_one_way_leans_inwards():
    """What the difference of both ways is for: read one way, the border of an even ground would move."""
    there, _ = block_matching.correlations(picture(), picture(3), BlockMatching())
    rows = block_matching._expectation(there, BlockMatching())[0, ..., 0].mean(1)
    assert rows[0] > 0.1 and rows[-1] < -0.1
    both_ways = displacement(picture(), picture(3))[0, ..., 0].mean(1)
    assert both_ways[[0, -1]].abs().max() < 0.5 * rows[[0, -1]].abs().min()


def test_of_equals_the_nearest_is_meant():
    """Stripes of three cells: two to the right or one to the left is the same picture."""
    stripes = torch.tensor([2.0, -1.0, -1.0]).repeat(8).expand(1, 8, 20, 24)
    near, any_of_them = (displacement(stripes, stripes.roll(2, 3), BlockMatching(nearness=n)) for n in (0.4, 0))
    assert inner(near)[..., 1].max() < -0.25 and inner(any_of_them)[..., 1].min() > 0.25


def test_neighbourhoods_tell_what_single_cells_do_not():
    """Half of each picture is noise of its own: single cells are misled, their surroundings together are not."""
    first = picture() + picture(5)
    second = picture().roll(1, 3) + picture(6)
    wide, narrow = (displacement(first, second, BlockMatching(around=around)) for around in (2, 0))
    error = [(inner(found) - torch.tensor([0.0, 1.0])).norm(dim=-1).mean() for found in (wide, narrow)]
    assert error[0] < 0.6 * error[1]


def test_likeness():
    first = picture()
    assert displacement_and_likeness(first, first.roll(1, 3))[1][:, 5:-5, 5:-5].min() > 0.95
    assert displacement_and_likeness(first, picture(1))[1].mean() < 0.6


def test_pairs_do_not_mix():
    first, second = picture(number=3), picture(1, number=3)
    together = displacement(first, second)
    alone = torch.cat([displacement(a[None], b[None]) for a, b in zip(first, second, strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_gradient_against_finite_differences():
    first, second = picture(height=8, width=9).double(), picture(1, height=8, width=9).double()
    first.requires_grad_(), second.requires_grad_()
    assert torch.autograd.gradcheck(displacement, (first, second), fast_mode=True, eps=1e-6, atol=1e-6)
    even = torch.zeros_like(first).requires_grad_()
    (gradient,) = torch.autograd.grad(displacement(even, second.detach()).square().sum(), even)
    assert torch.isfinite(gradient).all()


def slow_way(first, second, config, places):
    """(h,w,2) cells and (h,w) likeness, one cell and one place of its window at a time; (C,h,w) pictures."""
    height, width = first.shape[1:]
    reach, around = range(-config.reach, config.reach + 1), range(-config.around, config.around + 1)
    faint = [block_matching.FAINT * (one**2).sum().item() / (height * width) for one in (first, second)]
    moved, likeness = torch.zeros(height, width, 2, dtype=first.dtype), torch.zeros(height, width, dtype=first.dtype)

    def inside(y, x):
        return 0 <= y < height and 0 <= x < width

    for y, x in places:
        told = {}
        for dy, dx in ((dy, dx) for dy in reach for dx in reach if inside(y + dy, x + dx)):
            both = mine = theirs = 0.0
            for v, u in ((y + ny, x + nx) for ny in around for nx in around):
                if inside(v, u) and inside(v + dy, u + dx):
                    a, b = first[:, v, u], second[:, v + dy, u + dx]
                    both, mine, theirs = both + a @ b, mine + a @ a + faint[0], theirs + b @ b + faint[1]
            told[dy, dx] = (both / (mine * theirs) ** 0.5).item()
        share = {d: math.exp(config.sharpness * c - config.nearness * (d[0] ** 2 + d[1] ** 2)) for d, c in told.items()}
        moved[y, x] = sum(w * torch.tensor(d, dtype=first.dtype) for d, w in share.items()) / sum(share.values())
        likeness[y, x] = min(max(told.values()), 1)
    return moved, likeness


@pytest.mark.parametrize("config", [BlockMatching(reach=2, around=1), BlockMatching(sharpness=4, nearness=0.1)])
def test_against_the_definition(config):
    first, second = (picture(seed, height=7, width=6).double() for seed in (0, 1))
    second = first.roll((1, -1), (2, 3)) + 0.5 * second
    places = [(y, x) for y in range(7) for x in range(6)]
    there, likeness = slow_way(first[0], second[0], config, places)
    back, _ = slow_way(second[0], first[0], config, places)
    moved, alike = displacement_and_likeness(first, second, config)
    torch.testing.assert_close(moved[0], (there - back) / 2, atol=1e-9, rtol=0)
    torch.testing.assert_close(alike[0], likeness.clamp_min(0), atol=1e-9, rtol=0)
    single = displacement(first.float(), second.float(), config)
    torch.testing.assert_close(single, moved.float(), atol=1e-4, rtol=0)


def test_surprise_by_hand():
    """-sum of log softmax over the places of one window, at those around the wanted displacement."""
    first, second, config = picture(3).double(), picture(4).double(), BlockMatching(reach=2)
    wanted = torch.zeros(1, 20, 24, 2, dtype=torch.float64)
    wanted[0, 6, 9] = torch.tensor([0.75, -1.0])
    there, back = block_matching.correlations(first, second, config)
    expected = []
    for found, (row, col) in ((there, (0.75, -1.0)), (back, (-0.75, 1.0))):
        told = {(y, x): found[0, 6, 9, 5 * (y + 2) + x + 2].item() for y in range(-2, 3) for x in range(-2, 3)}
        total = sum(math.exp(10 * value) for value in told.values())
        sign = 1 if row > 0 else -1
        expected += [-share * (10 * told[y, col] - math.log(total)) for y, share in ((sign, 0.75), (0, 0.25))]
    moved, surprise = displacement_and_surprise(first, second, wanted, config)
    assert surprise[0, 6, 9].item() == pytest.approx(sum(expected) / 2)
    assert torch.equal(moved, displacement(first, second, config))


def test_what_moves_as_wanted_surprises_least():
    first = picture()
    second = first.roll((0, 1), (2, 3))
    asked = [inner(displacement_and_surprise(first, second, torch.tensor([0.0, d]).expand(1, 20, 24, 2))[1]).mean()
             for d in (-1, 0, 0.5, 1, 2)]  # fmt: skip
    assert asked[3] < 0.1 and asked[3] < asked[2] < asked[1] < asked[0] and asked[4] > asked[2]


def test_a_place_beyond_the_frame_cannot_surprise():
    _, surprise = displacement_and_surprise(picture(), picture(1), torch.tensor([-3.0, 0.0]).expand(1, 20, 24, 2))
    assert (surprise >= 0).all() and surprise.isfinite().all()
    there_and_back = surprise[:, 3:-3]
    assert (surprise[:, :3].mean() / there_and_back.mean()).item() < 0.7, "only one direction has that place"


def test_counting_bytes_at_a_size_leaves_nothing_behind():
    with FakeTensorMode():
        displacement(picture(), picture(1))
    assert type(displacement(picture(), picture(1))) is torch.Tensor
