import numpy as np
import pytest
from moving_clips import about_centre, moved, pan

from vmt.errors import InputError
from vmt.metrics.steadiness import diversity, flicker, warp_error


def noisy(frames, amount, seed=0):
    return (frames + amount * np.random.default_rng(seed).normal(size=frames.shape)).clip(0, 1)


def test_still_clip_does_not_flicker():
    still = moved(pan(0, 0))
    assert flicker(still) == warp_error(still) == 0
    values = [flicker(noisy(still, amount)) for amount in (0.0, 0.02, 0.05, 0.1)]
    assert values == sorted(values) and values[1] == pytest.approx(0.02 * 2 / np.sqrt(np.pi), rel=0.1)


def test_motion_is_flicker_but_no_warp_error():
    for affines in (pan(1.5, -2), about_centre(zoom=0.02, roll=0.02)):
        frames = moved(affines)
        assert warp_error(frames) < 0.25 * flicker(frames)
        values = [warp_error(noisy(frames, amount)) for amount in (0.0, 0.03, 0.1)]
        assert values == sorted(values) and values[2] > 2 * values[0]


@pytest.mark.parametrize("measure", [flicker, warp_error])
def test_any_length(measure):
    assert measure(moved(pan(0, 0, 1))) is None
    assert measure(moved(pan(0, 0.1, 2))) >= 0
    assert np.isfinite(measure(moved(pan(0, 0.1, 81))))


def test_cuts_are_seen():
    cut = np.concatenate([moved(pan(0, 0, 4)), moved(pan(0, 0, 4), seed=1)])
    assert flicker(cut) > 0.02 and warp_error(cut) > 0.02


def test_diversity_of_equal_and_other_clips():
    clips = [moved(pan(0, 0, 3), seed=seed) for seed in range(4)]
    assert diversity([clips[0]] * 4) == 0
    spread = diversity(clips)
    assert spread == pytest.approx(diversity(clips[::-1])) and 0.05 < spread < 0.5
    nearer = [0.5 * (clip + clips[0]) for clip in clips]
    assert diversity(nearer) == pytest.approx(0.5 * spread, rel=1e-5)


def test_more_seeds_are_not_more_diverse():
    noise = np.random.default_rng(0).uniform(0, 1, (16, 3, 16, 16, 3))
    assert diversity(noise[:4]) == pytest.approx(diversity(noise), rel=0.1)
    assert diversity(noise[:4] * 0.5) == pytest.approx(0.5 * diversity(noise[:4]), rel=1e-5)


def test_too_few_or_other_clips_are_refused():
    clip = moved(pan(0, 0, 3))
    with pytest.raises(InputError, match="1 clips of 1 forms"):
        diversity([clip])
    with pytest.raises(InputError, match="2 clips of 2 forms"):
        diversity([clip, clip[:2]])
