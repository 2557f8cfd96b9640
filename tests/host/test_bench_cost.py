"""Time and memory of runs and tunings, each in a real host: that they are taken, not how large they are."""

import sys

import pytest
from quick_runs import QUICK, SMALL

from vmt.bench import wall_clock
from vmt.bench.methods import stock_lora
from vmt.demo import api_graph
from vmt.demo.run import WORKFLOW
from vmt.demo.transfer_runs import changed


@pytest.fixture(scope="module")
def small():
    return changed(api_graph.load(WORKFLOW), QUICK + SMALL)


def test_methods_are_timed_side_by_side(small):
    found = wall_clock.ratios(["free"], 1, False, small)
    assert list(found) == ["unguided", "free"] and found["unguided"][1] == 1
    assert found["free"][0] > 0 and found["free"][1] == pytest.approx(found["free"][0] / found["unguided"][0])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_memory_is_that_of_a_host_of_its_own(small):
    found = wall_clock.peaks(["balanced"], False, small)
    assert list(found) == ["unguided", "balanced"]
    assert all(1e8 < held < 1e11 for held in found.values())


def test_the_hosts_own_trainer_is_timed_too(small, monkeypatch):
    monkeypatch.setitem(stock_lora.SETTINGS, "steps", 2)
    found = wall_clock.tunings(["stock_lora"], False, small)["stock_lora"]
    assert found["seconds"] > 0 and (found["host_peak_bytes"] or 1e9) > 1e8
