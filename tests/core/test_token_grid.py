import pytest
import torch

from vmt.errors import InputError
from vmt.token_grid import TokenGrid


@pytest.mark.parametrize(
    ("latent", "grid"),
    [
        ((1, 16, 21, 60, 104), (21, 30, 52)),  # 81 x 480 x 832
        ((2, 16, 9, 16, 16), (9, 8, 8)),
        ((1, 16, 3, 45, 79), (3, 23, 40)),  # odd sizes are padded up
    ],
)
def test_grid_of_a_wan_latent(latent, grid):
    assert TokenGrid.from_latent_shape(latent) == TokenGrid(*grid)


def test_token_order_is_frame_then_row_then_column():
    grid = TokenGrid(2, 3, 4)
    volume = torch.arange(24).reshape(1, 2, 3, 4)
    split = grid.split_frames(volume.flatten(1))
    assert split[0, 1, 2 * 4 + 3] == volume[0, 1, 2, 3]
    assert grid.positions()[2 * 4 + 3].tolist() == [2, 3]
    assert (grid.per_frame, grid.num_tokens) == (12, 24)


def test_refusals():
    with pytest.raises(InputError, match="do not fit a 2x3x4 token grid, which has 24"):
        TokenGrid(2, 3, 4).split_frames(torch.zeros(1, 25, 8))
    with pytest.raises(InputError, match="no video latent"):
        TokenGrid.from_latent_shape((4, 8))
    with pytest.raises(InputError, match="at least 1"):
        TokenGrid(0, 3, 4)
