import numpy as np
import pytest
from moving_clips import moved, pan

from vmt.errors import InputError
from vmt.metrics.motion_fidelity import motion_fidelity_as_coded
from vmt.metrics.tracks import Tracks, follow_grid


def tracks_of(steps):
    """Tracks (1,N,L,2) of steps (N,L-1,2), all visible."""
    points = np.concatenate([np.zeros((len(steps), 1, 2)), np.cumsum(steps, 1)], 1)[None].astype(np.float32) + 50
    return Tracks(points, np.ones(points.shape[:3], bool), (100, 100))


def jitter(num=400, length=23, seed=0, amount=0.1):
    return np.random.default_rng(seed).normal(0, amount, (num, length, 2))


def test_clip_against_itself():
    for tracks in (follow_grid(moved(pan(1, 2)), run=None), tracks_of(jitter())):
        assert motion_fidelity_as_coded(tracks, tracks)["motion_fidelity_as_coded"] == pytest.approx(1, abs=1e-4)


def test_what_it_cannot_see():
    """Why it is no measure to steer by: a small thing that moves the wrong way, a third of the speed."""

    def small(step, seed):
        steps = jitter(seed=seed)
        steps[:24] += step
        return tracks_of(steps)

    right, left = (motion_fidelity_as_coded(small((0, 3), 0), small((0, step), 1)) for step in (3, -3))
    assert 0 < right["motion_fidelity_as_coded"] - left["motion_fidelity_as_coded"] < 0.1
    fast, slower = jitter() + np.array((0, 3)), jitter(seed=1) + np.array((0, 1))
    slow = motion_fidelity_as_coded(tracks_of(fast), tracks_of(slower))
    assert slow["motion_fidelity_as_coded"] > 0.95


def test_opposite_pans():
    a, b = (follow_grid(moved(pan(0, step), seed=step % 2), run=None) for step in (2, -2))
    figures = motion_fidelity_as_coded(a, b)
    assert figures["motion_fidelity_as_coded"] < -0.9


def test_chance_of_one_direction_favours_none():
    """Of clips that go one way everywhere the turns cancel out, whether they agree or not."""
    for step in (2, -2):
        a, b = (tracks_of(np.tile(np.array((0.0, by)), (30, 23, 1))) for by in (2, step))
        figures = motion_fidelity_as_coded(a, b)
        assert figures["motion_fidelity_as_coded"] == pytest.approx(np.sign(step), abs=1e-5)
        assert figures["motion_fidelity_chance"] == pytest.approx(0, abs=1e-5)


def test_chance_is_what_turned_references_score():
    a, b = jitter(), jitter(seed=1) + np.array((0, 0.1))
    turned = []
    for n in range(8):
        cos, sin = np.cos(np.pi * (n + 0.5) / 4), np.sin(np.pi * (n + 0.5) / 4)
        spun = tracks_of(a @ np.array([[cos, sin], [-sin, cos]]))
        turned.append(motion_fidelity_as_coded(spun, tracks_of(b))["motion_fidelity_as_coded"])
    figures = motion_fidelity_as_coded(tracks_of(a), tracks_of(b))
    assert figures["motion_fidelity_chance"] == pytest.approx(np.mean(turned), abs=1e-5)


def test_chance_depends_on_the_length():
    levels = []
    for length in (15, 31, 80):
        a, b = (tracks_of(jitter(length=length, seed=seed)) for seed in (0, 1))
        figures = motion_fidelity_as_coded(a, b)
        assert figures["motion_fidelity_as_coded"] == pytest.approx(figures["motion_fidelity_chance"], abs=0.05)
        levels.append(figures["motion_fidelity_chance"])
    assert levels == sorted(levels, reverse=True) and levels[0] > 0.4


def test_still_and_lost_tracks_do_not_spoil_it():
    steps = jitter()
    steps[:50], steps[60, 5] = 0, 0
    moving = tracks_of(steps)
    assert np.isfinite(motion_fidelity_as_coded(moving, tracks_of(jitter(seed=1)))["motion_fidelity_as_coded"])
    nothing = tracks_of(np.zeros((10, 23, 2)))
    assert set(motion_fidelity_as_coded(nothing, moving).values()) == {None}
    lost = moving.visible.copy()
    lost[0, 100:, 8:] = False
    hidden = Tracks(moving.points_px, lost, moving.size)
    assert motion_fidelity_as_coded(hidden, hidden)["motion_fidelity_as_coded"] == pytest.approx(1, abs=1e-4)


def test_lengths_may_differ_and_roles_do_not_matter():
    a, b = tracks_of(jitter(length=23)), tracks_of(jitter(length=40, seed=2))
    assert motion_fidelity_as_coded(a, b) == pytest.approx(motion_fidelity_as_coded(b, a), abs=1e-6)


def test_tracks_in_runs_are_refused():
    with pytest.raises(InputError, match="run=None"):
        motion_fidelity_as_coded(follow_grid(moved(pan(0, 1))), follow_grid(moved(pan(0, 1))))
