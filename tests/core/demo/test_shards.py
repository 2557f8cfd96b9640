"""Tensors kept in files of so many."""

import pytest
import torch

from vmt.demo.shards import shards


def test_only_what_is_missing_is_made(tmp_path):
    made, told = [], []

    def make(number):
        made.append(number)
        return {"x": torch.full((2, 3), number).T}  # not contiguous

    def tell(count, seconds):
        told.append(count)

    with pytest.raises(TimeoutError):
        list(shards(tmp_path / "new", range(3, 5), make, tell, until=0))
    assert made == [3]
    assert [int(shard["x"][0, 0]) for shard in shards(tmp_path / "new", range(2, 5), make, tell)] == [2, 3, 4]
    assert made == [3, 2, 4] and told == [1, 1, 3]


def test_a_failure_leaves_no_file(tmp_path):
    def make(number):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        list(shards(tmp_path, range(1), make, lambda *_: None))
    assert not list(tmp_path.iterdir())
