from dataclasses import replace

import numpy as np
import pytest
from moving_clips import moved, pan, with_patch

from vmt.errors import InputError
from vmt.metrics.located import located_correlation, located_errors
from vmt.metrics.tracks import Tracks, follow_grid

STILL = np.zeros((9, 72, 96, 3)) + moved(pan(0, 0, 1))


def both(reference, output):
    tracks = follow_grid(reference), follow_grid(output)
    return {**located_correlation(*tracks), **located_errors(*tracks)}


def test_clip_against_itself():
    figures = both(moved(pan(1, 3)), moved(pan(1, 3)))
    assert figures["located_correlation"] == pytest.approx(1) and figures["epe_px"] == 0
    assert figures["wrong_way"] == figures["no_move"] == 0 and figures["speed_ratio"] == 1


def test_other_picture_of_the_same_motion():
    figures = both(moved(pan(1, 3)), moved(pan(1, 3), seed=1))
    assert figures["located_correlation"] > 0.98 and figures["epe_px"] < 0.2 and figures["wrong_way"] < 0.01


def test_length_counts():
    figures = both(moved(pan(0, 4)), moved(pan(0, 2), seed=1))
    assert figures["located_correlation"] == pytest.approx(0.8, abs=0.02)
    assert figures["speed_ratio"] == pytest.approx(0.5, abs=0.02)
    assert figures["epe_px"] == pytest.approx(2, abs=0.1) and figures["epe_relative"] == pytest.approx(0.5, abs=0.03)


def test_opposite_motion():
    figures = both(moved(pan(0, 3)), moved(pan(0, -3), seed=1))
    assert figures["located_correlation"] < -0.95 and figures["wrong_way"] > 0.98


def test_still_clips_give_finite_figures():
    for reference, output in ((moved(pan(0, 3)), STILL), (STILL, moved(pan(0, 3)))):
        assert both(reference, output)["located_correlation"] == pytest.approx(0, abs=0.01)
    assert both(moved(pan(0, 3)), STILL)["no_move"] == 1
    figures = both(STILL, STILL)
    assert figures["located_correlation"] is None and figures["speed_ratio"] is None and figures["epe_px"] == 0


def test_small_thing_that_goes_the_wrong_way_is_seen():
    """A tenth of the picture moves: what goes on elsewhere does not hide it."""
    right, left = ((20, 10), (0, 3)), ((20, 34), (0, -3))
    ground = STILL
    reference = with_patch(ground, *right)
    assert both(reference, with_patch(ground, *right, seed=3))["where_reference_moves"] > 0.8
    assert both(reference, with_patch(ground, *left))["where_reference_moves"] < 0
    assert both(reference, with_patch(ground, *left))["wrong_way"] > 0.8


def test_motion_elsewhere_counts_against_it():
    figures = both(with_patch(STILL, (4, 10), (0, 3)), with_patch(STILL, (40, 10), (0, 3)))
    assert abs(figures["where_reference_moves"]) < 0.2 and abs(figures["where_output_moves"]) < 0.2


def test_the_more_it_differs_the_worse():
    reference = moved(pan(0, 3))
    scores = [both(reference, moved(pan(turn, 3 - turn), seed=1))["located_correlation"] for turn in (0, 1, 2, 4)]
    assert scores == sorted(scores, reverse=True) and scores[0] - scores[-1] > 0.8


def test_order_matters_only_for_the_roles():
    a, b = (replace(follow_grid(moved(path, seed=seed))) for seed, path in enumerate((pan(0, 3), pan(1, 2))))
    a.visible[:] = b.visible[:] = a.visible & b.visible  # what is lost is the output's fault, not the reference's
    ab, ba = located_correlation(a, b), located_correlation(b, a)
    assert ab["located_correlation"] == pytest.approx(ba["located_correlation"])
    assert ab["where_reference_moves"] == pytest.approx(ba["where_output_moves"])


def test_what_cannot_be_followed_has_not_moved():
    """An output that is right in a hundredth of its places and even elsewhere has followed a hundredth."""
    reference = follow_grid(moved(pan(0, 3)))
    visible = reference.visible.copy()
    visible[:, np.arange(visible.shape[1]) % 100 > 0, 1:] = False
    melted = Tracks(reference.points_px, visible, reference.size)
    figures = {**located_correlation(reference, melted), **located_errors(reference, melted)}
    assert figures["where_reference_moves"] < 0.05 and figures["where_output_moves"] == pytest.approx(1)
    assert 0.005 < figures["followed"] < 0.02 and 0.9 < figures["epe_relative"] <= 1
    whole = {**located_correlation(reference, reference), **located_errors(reference, reference)}
    assert whole["where_reference_moves"] == pytest.approx(1) and whole["followed"] == 1


def test_followed_is_told_of_what_moves():
    """Points of an even ground that nobody can follow do not make it small."""
    even = np.full((9, 72, 96, 3), 0.5)
    reference = with_patch(even, (20, 10), (0, 3))
    assert both(reference, reference)["followed"] == 1
    assert both(reference, even)["followed"] == 0


def test_clips_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="8 runs of 2"):
        located_correlation(follow_grid(STILL), follow_grid(STILL[:5]))
