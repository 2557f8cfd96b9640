"""Seconds and memory of guided runs of the demo model over those of plain ones, and of tuning it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ..demo.tuned_graph import TUNER_NODE
from .cases import SPLITS, bench_cases
from .report import FLOOR
from .runs import BenchRuns


def ratios(
    methods: Sequence[str], num_cases: int, half: bool, workflow: dict | None = None
) -> dict[str, tuple[float, float]]:
    """Method -> median seconds of a run, and median of its ratio to the unguided run of the same case.

    The demo model, through a real host. Each case is run by all methods in turn, so that what else the machine does
    touches all alike; a case before the first warms the host up. Seconds are those of the whole graph, reading and
    decoding included. workflow: the API-form graph that methods change; None = the demo's.
    """
    names = list(dict.fromkeys([FLOOR, *methods]))
    cases = bench_cases("single_object", num_cases + 1, SPLITS["v1"])
    taken: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder, BenchRuns(Path(folder), half, workflow=workflow) as runs:
        for number, case in enumerate(cases):
            for name in names:
                taken[name].append(runs.seconds(name, case))
            print(f"timed {number} of {num_cases} cases", file=sys.stderr, flush=True)
    return {name: _told(taken[name][1:], taken[FLOOR][1:]) for name in names}


def peaks(methods: Sequence[str], half: bool, workflow: dict | None = None) -> dict[str, int | None]:
    """Method -> the most memory its host held, from the start to the end of one run: each has a host of its own."""
    case, found = bench_cases("single_object", 1, SPLITS["v1"])[0], {}
    for name in dict.fromkeys([FLOOR, *methods]):
        with tempfile.TemporaryDirectory() as folder, BenchRuns(Path(folder), half, workflow=workflow) as runs:
            runs.seconds(name, case)
            found[name] = runs.peak_bytes()
    return found


def tunings(methods: Sequence[str], half: bool, workflow: dict | None = None) -> dict[str, dict[str, float | None]]:
    """Method that tunes -> "seconds" of its tuner, and "host_peak_bytes", the most that its host held meanwhile."""
    case, found = bench_cases("single_object", 1, SPLITS["v1"])[0], {}
    for name in methods:
        with tempfile.TemporaryDirectory() as folder, BenchRuns(Path(folder), half, workflow=workflow) as runs:
            seconds = runs.node_seconds(name, case)[TUNER_NODE]
            found[name] = {"seconds": seconds, "host_peak_bytes": runs.peak_bytes()}
            print(f"timed {name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return found


def _told(seconds: list[float], plain: list[float]) -> tuple[float, float]:
    return median(seconds), median(s / p for s, p in zip(seconds, plain, strict=True))
