import pytest
import torch

from vmt.errors import InputError
from vmt.signals.windows import tile_middles, window_centres, window_holds, window_size, window_tokens
from vmt.token_grid import TokenGrid


def windows_are_full_lie_in_the_frame_and_hold_no_duplicate(tokens_of, size, radius):
    """tokens_of: (P, S) matches, grid, radius -> (P, S, K) tokens of the windows around them."""
    grid = TokenGrid(2, *size)
    match, window = torch.arange(grid.per_frame)[None], window_size(grid, radius)
    tokens = tokens_of(match, grid, radius)
    assert tokens.shape == (1, grid.per_frame, window[0] * window[1])
    assert tokens.min() >= 0 and tokens.max() < grid.per_frame
    assert (tokens.sort(-1).values.diff(dim=-1) > 0).all()
    # The matched token is in its own window, and together the windows reach every token of the frame.
    assert (tokens == match[..., None]).any(-1).all()
    assert len(tokens.unique()) == grid.per_frame
    rows = tokens // grid.width
    assert (rows.amax(-1) - rows.amin(-1) + 1 == window[0]).all()  # no window wraps round a row


def tokens_of(match, grid, radius):
    return window_tokens(window_centres(match, grid, radius), window_size(grid, radius), grid)


@pytest.mark.parametrize("size", [(30, 52), (52, 30), (23, 40), (16, 28), (8, 8), (2, 3), (1, 1)])
@pytest.mark.parametrize("radius", [0, 1, 2, 10, None])
def test_windows(size, radius):
    windows_are_full_lie_in_the_frame_and_hold_no_duplicate(tokens_of, size, radius)
    grid = TokenGrid(2, *size)
    match = torch.arange(grid.per_frame)[None]
    centres = window_centres(match, grid, radius)
    assert centres.dtype == torch.int16
    assert window_holds(match, centres, window_size(grid, radius), grid).all()


def test_holds_agrees_with_the_list_of_tokens():
    grid = TokenGrid(2, 6, 7)
    generator = torch.Generator().manual_seed(0)
    match, other = torch.randint(42, (2, 3, 42), generator=generator)
    for radius in (1, 2, 3, None):
        centres, window = window_centres(match, grid, radius), window_size(grid, radius)
        listed = (window_tokens(centres, window, grid) == other[..., None]).any(-1)
        assert torch.equal(window_holds(other, centres, window, grid), listed)
    assert not window_holds(other, window_centres(match, grid, 1), (3, 3), grid).all()


def test_tiles_share_the_window_of_their_middle_and_may_be_cut_short():
    grid = TokenGrid(2, 5, 6)
    middles = tile_middles(grid, (3, 4)).reshape(5, 6)
    assert middles.tolist() == [[1 * 6 + 2] * 4 + [1 * 6 + 5] * 2] * 3 + [[4 * 6 + 2] * 4 + [4 * 6 + 5] * 2] * 2
    assert torch.equal(tile_middles(grid, (1, 1)), torch.arange(30))


def test_refusals():
    grid = TokenGrid(2, 5, 6)
    with pytest.raises(InputError, match="radius is -1"):
        window_size(grid, -1)
    with pytest.raises(InputError, match=r"tile is \(0, 4\)"):
        tile_middles(grid, (0, 4))
