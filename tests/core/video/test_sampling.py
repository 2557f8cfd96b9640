import numpy as np
import pytest

from vmt.errors import InputError
from vmt.video.sampling import frame_rate, pick_nearest, plan_sampling, snap_frames


def plan(times, start=0.0, frames=0, fps=0.0, stated_fps=30.0):
    return plan_sampling(np.asarray(times), name="a.mp4", start=start, frames=frames, fps=fps, stated_fps=stated_fps)


@pytest.mark.parametrize(("number", "snapped"), [(5, 5), (6, 5), (8, 5), (9, 9), (80, 77), (81, 81), (33, 33)])
def test_snap_frames_goes_down_to_4n_plus_1(number, snapped):
    assert snap_frames(number) == snapped


def test_rate_of_times_rounded_to_milliseconds_is_the_stated_one():
    times = np.round(np.arange(200) / 30, 3)
    assert frame_rate(times, 30.0) == (30.0, False)
    measured, variable = frame_rate(times, 25.0)  # a header that is wrong is not believed
    assert measured == pytest.approx(30.0, rel=1e-3) and not variable


def test_a_dropped_frame_does_not_change_the_rate_and_unevenness_is_seen():
    times = np.delete(np.arange(100) / 24, [10, 50])
    assert frame_rate(times, 24.0) == (24.0, False)
    uneven = np.cumsum(np.tile([0.02, 0.1], 20))
    rate, variable = frame_rate(uneven, 30.0)
    assert variable and rate == pytest.approx(39 / (uneven[-1] - uneven[0]))


def test_plan_keeps_every_frame_at_the_clips_own_rate():
    result = plan(np.arange(41) / 30)
    assert np.allclose(result.times, np.arange(41) / 30) and result.fps == 30.0 and result.available == 41


def test_plan_covers_the_clips_duration_when_the_rate_changes():
    assert plan(np.arange(60) / 30, fps=16).available == 32  # 2 seconds
    assert plan(np.arange(60) / 30, fps=60).available == 120
    assert len(plan(np.arange(60) / 30, fps=16).times) == 29


def test_plan_begins_at_the_frame_nearest_to_start():
    result = plan(np.arange(100) / 10, start=2.04, frames=9, stated_fps=10.0)
    assert np.allclose(result.times, 2.0 + np.arange(9) / 10)


def test_plan_holds_its_rate_over_a_dropped_frame():
    times = np.delete(np.arange(60) / 30, 7)
    assert np.allclose(plan(times, frames=21).times, np.arange(21) / 30)


@pytest.mark.parametrize(
    ("times", "start", "fps", "message"),
    [
        (np.arange(30) / 30, 1.5, 0, r"Start is 1\.5 s, but a\.mp4 ends at 1\.00 s"),
        ([], 0.0, 0, "has no frames there"),
        (np.arange(3) / 30, 0.0, 0, r"has 3 frames; motion needs at least 5 \(4n\+1\).*load a longer clip"),
        ([0.0], 0.0, 0, "has 1 frame; motion"),
        (np.arange(30) / 30, 0.9, 0, r"has 3 frames from 0\.9 s on;.*lower start"),
        (np.arange(30) / 30, 0.0, 3, "has 3 frames at 3 fps;.*raise fps"),
    ],
)
def test_plan_refuses(times, start, fps, message):
    with pytest.raises(InputError, match=message):
        plan(times, start=start, fps=fps)


def test_pick_nearest_agrees_with_a_plain_search():
    generator = np.random.default_rng(5)
    times = np.cumsum(generator.uniform(0.005, 0.12, 80))
    wanted = times[3] + np.arange(40) / 11
    wanted = wanted[wanted < times[-1]]
    picked = list(pick_nearest(zip(times, range(80), strict=True), wanted, slack=0.0))
    assert [index for index, _ in picked] == list(range(len(wanted)))
    assert [frame for _, frame in picked] == [int(np.argmin(np.abs(times - time))) for time in wanted]


def test_pick_nearest_takes_the_earlier_of_two_and_stops_reading():
    read = []

    def stream():
        for number in range(100):
            read.append(number)
            yield float(number), number

    assert [frame for _, frame in pick_nearest(stream(), [0.5, 1.0, 2.6], slack=0.0)] == [0, 1, 3]
    assert read == [0, 1, 2, 3, 4]


def test_pick_nearest_ignores_times_that_go_back():
    stream = [(0.0, "a"), (1.0, "b"), (0.5, "broken"), (2.0, "c")]
    assert [frame for _, frame in pick_nearest(stream, [0.0, 1.0, 2.0], slack=0.0)] == ["a", "b", "c"]


def test_pick_nearest_leaves_out_what_lies_beyond_the_end():
    stream = [(0.0, "a"), (1.0, "b")]
    assert [frame for _, frame in pick_nearest(stream, [0.0, 1.0, 2.0, 3.0], slack=1.5)] == ["a", "b", "b"]
    assert list(pick_nearest([], [0.0], slack=1.5)) == []


def test_plan_believes_the_timestamps_rather_than_the_header():
    assert plan(np.arange(41) / 30, stated_fps=25.0).fps == pytest.approx(30.0)
    uneven = np.cumsum(np.tile([0.02, 0.1], 20))
    assert plan(uneven, stated_fps=25.0).fps == pytest.approx(39 / (uneven[-1] - uneven[0]))
