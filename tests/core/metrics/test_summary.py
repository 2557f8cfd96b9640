import numpy as np
import pytest

from vmt.errors import InputError
from vmt.metrics.summary import differences, summarise


def test_known_figures():
    figures = summarise([{"a": x, "ok": x > 2, "name": "x"} for x in (1, 2, 3, 10)])
    assert set(figures) == {"a", "ok"}
    assert figures["a"]["mean"] == 4 and figures["a"]["median"] == 2.5 and figures["ok"]["mean"] == 0.5
    assert figures["a"]["n"] == 4 and figures["a"]["undefined"] == 0
    low, high = figures["a"]["mean_95"]
    assert 1 <= low < 4 < high <= 10


def test_interval_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = summarise([{"a": x} for x in values])["a"]["mean_95"]
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.03) and high == pytest.approx(
        values.mean() + half, abs=0.03
    )


@pytest.mark.parametrize("num", [8, 16])
def test_interval_of_few_cases_holds_the_true_mean_as_often_as_it_says(num):
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(400):
        low, high = summarise([{"a": x} for x in rng.normal(0, 1, num)], 500)["a"]["mean_95"]
        missed += not low <= 0 <= high
    assert 0.02 < missed / 400 < 0.085  # .11 to .12 with the quantiles as they come


def test_same_numbers_each_time():
    cases = [{"a": x**2} for x in range(20)]
    assert summarise(cases) == summarise(cases) != summarise(cases, seed=1)


def test_undefined_cases_are_counted_not_averaged():
    figures = summarise([{"a": None, "b": None}, {"a": 2.0, "b": None}, {"a": 4.0, "b": None}])
    assert figures["a"]["n"] == 2 and figures["a"]["undefined"] == 1 and figures["a"]["mean"] == 3
    assert np.isfinite(figures["a"]["mean_95"]).all()
    assert figures["b"] == {"n": 0, "undefined": 3, "mean": None, "mean_95": None, "median": None, "median_95": None}


def test_paired_differences_are_surer_than_two_intervals():
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 1, 60)
    scores = [{"a": h + 0.2 + e, "name": "x"} for h, e in zip(hard, rng.normal(0, 0.05, 60), strict=True)]
    controls = [{"a": h, "name": "y"} for h in hard]
    low, high = summarise(differences(scores, controls))["a"]["mean_95"]
    assert 0.15 < low < 0.2 < high < 0.25
    assert differences([{"a": None}], [{"a": 1.0}]) == [{"a": None}]
    assert differences([{"a": True}], [{"a": False}]) == [{"a": 1.0}]


def test_a_figure_that_a_case_lacks_is_undefined():
    figures = summarise([{"a": 1.0, "new": 2.0}, {"a": 3.0}])
    assert figures["a"]["n"] == 2 and figures["new"]["n"] == 1 and figures["new"]["mean"] == 2
    assert differences([{"a": 1.0, "new": 2.0}], [{"a": 1.0}]) == [{"a": 0.0, "new": None}]


def test_cases_of_one_reference_are_drawn_together():
    """Four prompts of each reference that hardly differ are no more than one, and their interval is as wide."""
    rng = np.random.default_rng(2)
    of_reference = rng.normal(0, 1, 16)
    scores = [{"a": value + 0.01 * k} for value in of_reference for k in range(4)]
    groups = [f"reference {n}" for n in range(16) for _ in range(4)]

    def width(**options):
        low, high = summarise(scores, **options)["a"]["mean_95"]
        return high - low

    alone_low, alone_high = summarise([{"a": value} for value in of_reference])["a"]["mean_95"]
    assert width(groups=groups) == pytest.approx(alone_high - alone_low, rel=0.05)
    assert width() < 0.6 * width(groups=groups)
    uneven = summarise([{"a": 1.0}, {"a": 2.0}, {"a": 3.0}], groups=["x", "x", "y"])["a"]
    assert uneven["n"] == 3 and uneven["mean"] == 2 and 1 <= uneven["mean_95"][0] <= uneven["mean_95"][1] <= 3


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="0 cases"):
        summarise([])
    with pytest.raises(InputError, match="one control per score"):
        differences([{"a": 1}], [])
