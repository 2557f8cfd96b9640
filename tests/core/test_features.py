import pytest
import torch

from vmt.errors import InputError
from vmt.features import MotionFeatures
from vmt.token_grid import TokenGrid

GRID = TokenGrid(2, 3, 4)


def make(**changes):
    heads = {7: torch.zeros(1, 24, 2, 8), 3: torch.zeros(1, 24, 2, 8)}
    given = {
        "grid": GRID, "queries": heads, "keys": dict(heads), "rope": "pre", "sigma": 0.5,
        "latent": torch.zeros(1, 16, 2, 6, 8), "model": "test",
    }  # fmt: skip
    return MotionFeatures(**{**given, **changes})


def test_held_memory_is_told():
    assert make().get_ram_usage() == 4 * (2 * 2 * 24 * 2 * 8 + 16 * 2 * 6 * 8)


def test_blocks_are_sorted():
    assert make().blocks == (3, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope": "none"}, "pre or post"),
        ({"keys": {3: torch.zeros(1, 24, 2, 8)}}, r"blocks \[3, 7\] and keys of blocks \[3\]"),
        ({"queries": {}, "keys": {}}, "at least one"),
        ({"grid": TokenGrid(2, 3, 5)}, r"\(1, 30, heads, channels\) for a 2x3x5 token grid"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)
