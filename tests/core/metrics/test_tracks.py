import numpy as np
import pytest
from moving_clips import SIZE, moved, pan, with_patch

from vmt.errors import InputError
from vmt.metrics.tracks import follow_grid, grid_points


def test_grid_is_even_and_inside():
    for size in ((72, 96), (480, 832), (16, 16)):
        points = grid_points(size)
        assert (points > 0).all() and (points < np.array(size) - 1).all()
        assert len(points) <= 55 * 55
        np.testing.assert_allclose(points.mean(0), (np.array(size) - 1) / 2, atol=1e-3)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.7, -2.6), (-3.4, 0.8), (0.1, 5.2)])
@pytest.mark.parametrize("run", [1, 3, None])
def test_known_shift_is_measured(shift, run):
    tracks = follow_grid(moved(pan(*shift)), run)
    steps = tracks.steps[tracks.known]
    assert np.median(np.linalg.norm(steps - shift, axis=-1)) < 0.1
    assert np.quantile(np.linalg.norm(steps - shift, axis=-1), 0.95) < 0.6
    assert tracks.known[0].mean() > (0.5 if run is None else 0.75)
    assert len(tracks.points_px) == {1: 8, 3: 3, None: 1}[run]
    assert tracks.moving.any() == (shift != (0.0, 0.0))


def test_patch_and_ground_move_apart():
    frames = with_patch(moved(pan(0, -1)), (20, 20), (0, 4))
    tracks = follow_grid(frames)
    for t in range(8):
        start = tracks.points_px[t, :, 0]
        low = np.array([20, 20 + 4 * t])
        inside = ((start > low + 8) & (start < low + 20)).all(-1) & tracks.known[t, :, 0]
        outside = ((start < low - 10) | (start > low + 38)).any(-1) & tracks.known[t, :, 0]
        np.testing.assert_allclose(np.median(tracks.steps[t, inside, 0], 0), (0, 4), atol=0.1)
        np.testing.assert_allclose(np.median(tracks.steps[t, outside, 0], 0), (0, -1), atol=0.1)


def test_a_point_that_leaves_is_gone_for_the_run():
    tracks = follow_grid(moved(pan(0, 9)), run=None)
    gone = ~tracks.visible[0]
    assert (gone[:, 1:] >= gone[:, :-1]).all()  # never back
    leaving = tracks.points_px[0, :, 0, 1] + 8 * 9 > SIZE[1]
    assert gone[leaving, -1].all() and not gone[:, 0].any()


def test_flat_and_unrelated_pictures_are_not_followed():
    assert follow_grid(np.full((4, 64, 64, 3), 0.5)).known.sum() == 0
    noise = np.random.default_rng(0).random((4, 64, 64, 3))
    assert follow_grid(noise).known.mean() < 0.2


@pytest.mark.parametrize("num_frames", [1, 2, 81])
def test_any_length(num_frames):
    tracks = follow_grid(moved(pan(0, 0.2, num_frames)))
    assert len(tracks.points_px) == num_frames - 1 and np.isfinite(tracks.points_px).all()


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="12x64"):
        follow_grid(np.zeros((3, 12, 64, 3)))
    with pytest.raises(InputError, match="runs of 0"):
        follow_grid(np.zeros((3, 64, 64, 3)), run=0)
    with pytest.raises(InputError, match="channels last"):
        follow_grid(np.zeros((3, 3, 64, 64)))
