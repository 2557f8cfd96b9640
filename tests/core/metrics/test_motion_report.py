import numpy as np
import pytest
from moving_clips import about_centre, moved, pan, with_patch

from vmt.errors import InputError
from vmt.metrics.motion_report import PASSES, ClipMotion, in_words, report_motion
from vmt.metrics.moving_region import moving_centre
from vmt.metrics.track_picture import OUTPUT, REFERENCE, draw_tracks
from vmt.metrics.tracks import Tracks, follow_grid, grid_points, grid_shape

STILL = moved(pan(0, 0))
RIGHT, LEFT = ((20, 8), (0, 4)), ((20, 40), (0, -4))


def figures_of(*clips):
    return report_motion(*clips).figures


def test_path_of_what_moves():
    path, seen = moving_centre(follow_grid(with_patch(STILL, *RIGHT)))
    assert seen.all()
    expected = np.array([20 + 14, 8 + 14]) + np.arange(8)[:, None] * (0, 4)
    assert np.abs(path - expected).max() < 3
    path, seen = moving_centre(follow_grid(STILL))
    assert not seen.any() and (path == (35.5, 47.5)).all()


def steps_at(*moves):
    """Tracks of one step over frames of 72x96: (rows, columns, (down, right)) of the grid move so, the rest stands."""
    steps = np.zeros((*grid_shape((72, 96)), 2), np.float32)
    for rows, columns, step in moves:
        steps[rows, columns] = step
    start = grid_points((72, 96))
    points = np.stack([start, start + steps.reshape(-1, 2)], 1)[None]
    return Tracks(points, np.ones(points.shape[:3], bool), (72, 96))


def test_points_that_move_by_themselves_are_no_thing():
    thing, strays = (slice(4, 7), slice(4, 7), (0, 2)), [(1, 20, (2, 0)), (15, 3, (0, 2)), (5, 7, (0, -2))]
    path, seen = moving_centre(steps_at(*strays))
    assert not seen.any() and (path == (35.5, 47.5)).all()
    for moves in ([thing], [thing, *strays], [thing, (5, 5, (0, 2.9))]):
        path, seen = moving_centre(steps_at(*moves))
        assert seen.all() and np.abs(path - (21.5, 21.5)).max() < 0.1


def test_every_figure_is_a_number_or_undefined():
    for clips in ((STILL, STILL), (moved(pan(0, 2)), STILL), (STILL, np.full_like(STILL, 0.5)), (STILL[:2], STILL[:2])):
        for name, value in figures_of(*clips).items():
            assert value is None or np.isfinite(value), name


@pytest.mark.parametrize(
    "output, words",
    [
        (with_patch(STILL, *RIGHT, seed=4), "follows the reference closely"),
        (with_patch(STILL, (40, 8), (0, 4), seed=4), "takes the reference's path, at another place"),
        (with_patch(STILL, *LEFT, seed=4), "moves against the reference"),
        (STILL, "does not follow the reference"),
    ],
)
def test_words_for_the_motion(output, words):
    figures = figures_of(with_patch(STILL, *RIGHT), output)
    assert words in in_words(figures).splitlines()[0]


@pytest.mark.parametrize("here, path", [(-0.8, -0.1), (-0.8, None), (0.1, -0.8), (None, -0.3)])
def test_either_figure_may_tell_that_it_moves_against(here, path):
    figures = figures_of(STILL, STILL) | {"located_correlation": here, "centred_correlation": path}
    assert "moves against the reference" in in_words(figures)


def test_words_for_speed_camera_look_and_steadiness():
    reference, other = moved(pan(0, 4)), moved(pan(0, 2), seed=1)
    text = in_words(figures_of(reference, other, moved(pan(0, 2), seed=2)))
    assert "Speed: 50 %" in text or "Speed: 49 %" in text or "Speed: 51 %" in text
    assert "Camera: path +1.00" in text and "little of the reference's look" in text and "as steady" in text
    text = in_words(figures_of(reference, reference, other))
    assert "the reference's look leaks in" in text
    assert "places alone may do that" in in_words(figures_of(reference, reference, other) | {"leakage": 0.2})
    noisy = (reference + np.random.default_rng(0).normal(0, 0.1, reference.shape)).clip(0, 1)
    assert "flickers or melts" in in_words(figures_of(reference, noisy))
    assert "connect the result without guidance" in in_words(figures_of(reference, other))
    assert "nothing that could be followed moves" in in_words(figures_of(STILL, STILL))


def test_camera_and_thing_are_told_apart():
    """The camera of the reference without its thing: right camera, no thing that moves."""
    reference = with_patch(moved(pan(0, -2)), *RIGHT)
    figures = figures_of(reference, moved(pan(0, -2), seed=1))
    assert figures["camera_correlation"] > 0.99 and figures["object_where_reference_moves"] < 0.3
    figures = figures_of(moved(about_centre(zoom=0.03)), moved(about_centre(roll=0.05), seed=1))
    assert abs(figures["camera_correlation"]) < 0.2 and figures["camera_roll_px"] > 1


def test_picture_shows_both_sets_of_tracks():
    report = report_motion(with_patch(STILL, *RIGHT), with_patch(STILL, *LEFT))
    picture = draw_tracks(report, with_patch(STILL, *LEFT))
    assert picture.shape[0] == 9 and 0 <= picture.min() and picture.max() <= 1
    assert min(picture.shape[1:3]) >= 384
    last = (picture[-1, :384].numpy() * 255).round()
    for colour in (REFERENCE, OUTPUT):
        assert (np.abs(last - colour).sum(-1) < 30).sum() > 50
    still = draw_tracks(report_motion(STILL, STILL), STILL)
    assert not (np.abs(still[-1, :360].numpy() * 255 - REFERENCE).sum(-1) < 30).any()


def test_clips_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"reference 9 frames of 96x72, output 5 frames of 96x72.*ImageFromBatch"):
        report_motion(STILL, STILL[:5])
    with pytest.raises(InputError, match="output 9 frames of 90x72"):
        report_motion(STILL, STILL[:, :, :90])
    with pytest.raises(InputError, match="unguided 8 frames"):
        report_motion(STILL, STILL, STILL[:8])
    with pytest.raises(InputError, match="1 frame; motion needs 2"):
        report_motion(STILL[:1], STILL[:1])


def test_every_step_of_every_pass_is_told_and_may_be_the_last():
    told = []
    report_motion(STILL, STILL, STILL, on_step=lambda: told.append(1))
    assert len(told) == 2 * PASSES * 8
    report_motion(ClipMotion.of(STILL), STILL, on_step=lambda: told.append(1))
    assert len(told) == 3 * PASSES * 8

    class Cancelled(Exception):
        pass

    def cancel():
        told.append(1)
        if len(told) == last:
            raise Cancelled

    for last in (1, 9, 3 * 8 + 2):  # in the first pass, the second and the last
        told.clear()
        with pytest.raises(Cancelled):
            ClipMotion.of(STILL, cancel)
        assert len(told) == last
