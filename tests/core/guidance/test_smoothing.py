import math

import pytest
import torch

from vmt.guidance.smoothing import smooth


def test_a_point_becomes_a_gaussian_of_its_frame_and_channel_alone():
    gradient = torch.full((1, 2, 3, 15, 15), 1e-30)
    gradient[0, 1, 2, 7, 7] = 1.0
    blurred = smooth(gradient, 1.5)
    rows = torch.arange(15.0) - 7
    bell = torch.exp(-(rows**2) / (2 * 1.5**2)) * (rows.abs() <= math.ceil(3 * 1.5))
    expected = bell[:, None] * bell / bell.sum() ** 2
    torch.testing.assert_close(blurred[0, 1, 2], expected, atol=1e-6, rtol=0)
    assert blurred[0, 0].max() < 1e-20 and blurred[0, 1, :2].max() < 1e-20


@pytest.mark.parametrize("width", [0.5, 0.7, 2.0])
def test_what_is_even_stays_and_what_is_rough_is_weakened(width):
    even = torch.full((2, 16, 3, 8, 8), 0.25)
    torch.testing.assert_close(smooth(even, width), even)
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert smooth(board.expand(1, 16, 3, 8, 8), width).abs().max() < 0.9


def test_nothing_moves_where_the_gradient_is_zero():
    gradient = torch.randn(1, 16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    gradient[..., 4:] = 0
    blurred = smooth(gradient, 1.0)
    assert (blurred[..., 4:] == 0).all() and (blurred[..., :4] != 0).all()


def test_no_width_is_the_gradient_itself():
    gradient = torch.randn(1, 16, 3, 8, 8)
    assert smooth(gradient, 0.0) is gradient
