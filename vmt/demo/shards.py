"""Tensors that take long to make, kept in files of so many, so that making them stops and goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from ..whole_file import whole_file


def shards(
    folder: Path, numbers: range, make: Callable[[int], dict[str, Tensor]], say: Callable[[int, float], None],
    until: float = float("inf"),
) -> Iterator[dict[str, Tensor]]:  # fmt: skip
    """The tensors of each shard, from its file under `folder` or made and written there.

    Args:
        make: number of a shard -> its tensors. say: called after a shard was made with how many are there and the
            seconds spent.
    Raises:
        TimeoutError: it is past `until`; what is made is kept.
    """
    started = time.time()
    for done, number in enumerate(numbers, 1):
        path = folder / f"{number:04d}.safetensors"
        if not path.exists():
            tensors = make(number)
            with whole_file(path) as file:
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
            say(done, time.time() - started)
        yield load_file(path)
        if time.time() > until:
            raise TimeoutError("time is up; run the command again to go on")
