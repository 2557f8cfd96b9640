import numpy as np
import pytest
from moving_clips import moved, pan

from vmt.errors import InputError
from vmt.metrics.likeness import leakage_of, likeness

A, B = moved(pan(0, 1, 4)), moved(pan(0, 1, 4), seed=5)


def leakage(reference, *clips, followed=1.0):
    return leakage_of(*(likeness(clip, reference) for clip in clips), followed=followed)


def test_equal_clips_are_alike_and_the_order_does_not_matter():
    assert likeness(A, A) == pytest.approx({"ssim": 1, "layout": 1, "edges": 1})
    assert likeness(A, B) == pytest.approx(likeness(B, A))
    assert max(likeness(A, B).values()) < 0.5


def test_the_more_is_mixed_in_the_more_leaks():
    values = [leakage(A, B + share * (A - B), B) for share in (0.0, 0.25, 0.5, 1.0)]
    for name in values[0]:
        series = [value[name] for value in values]
        assert series[0] == 0 and series == sorted(series) and series[-1] > 0.5
    parts = [values[1][f"leakage_{name}"] for name in ("ssim", "layout", "edges")]
    assert values[1]["leakage"] == pytest.approx(sum(parts) / 3)


def test_what_a_perfect_transfer_shares_is_no_leakage():
    perfect = B + 0.3 * (A - B)
    assert leakage(A, perfect, B)["leakage"] > 0 and leakage(A, perfect, B, perfect)["leakage"] == 0
    more = B + 0.5 * (A - B)
    assert 0 < leakage(A, more, B, perfect)["leakage"] < leakage(A, more, B)["leakage"]
    assert leakage(A, perfect, perfect, B)["leakage"] > 0, "the unguided output may be the more alike"


def test_what_does_not_follow_has_no_part_of_it():
    """A look that comes over without the motion is not hidden behind what a perfect transfer shares."""
    perfect = B + 0.3 * (A - B)
    assert leakage(A, B, B, perfect, followed=0.0)["leakage"] == 0
    looks = [leakage(A, perfect, B, perfect, followed=followed)["leakage"] for followed in (0.0, 0.5, 1.0)]
    assert looks[0] == leakage(A, perfect, B)["leakage"] and looks[1] == pytest.approx(looks[0] / 2)
    assert looks[2] == pytest.approx(0)


def test_another_colour_is_no_other_layout_of_edges():
    assert likeness(A, 1 - A)["edges"] == pytest.approx(1, abs=1e-3)
    assert likeness(A, 1 - A)["layout"] == pytest.approx(-1, abs=1e-3)


def test_even_pictures_correlate_with_nothing():
    even = np.full_like(A, 0.5)
    figures = likeness(A, even)
    assert figures["layout"] is figures["edges"] is None and 0 <= figures["ssim"] < 0.5
    assert likeness(even, even) == {"ssim": pytest.approx(1), "layout": None, "edges": None}
    assert leakage(even, A, B)["leakage"] == pytest.approx(leakage(even, A, B)["leakage_ssim"])


def test_clips_of_other_form_are_refused():
    with pytest.raises(InputError, match="4 frames of 72x96 and 3 frames"):
        likeness(A, B[:3])
