"""What holds of every figure that tells one motion from another: best on the truth itself, at its floor on noise, worse
the further the motion is off, a number or None on clips of 1, 2 and 81 frames and of things that stand, come and go."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from moving_clips import moved

from vmt.bench.cases import bench_cases
from vmt.bench.judge import judge
from vmt.errors import InputError
from vmt.metrics.camera import camera_correlation, camera_error, fit_camera
from vmt.metrics.located import located_correlation, located_errors
from vmt.metrics.motion_fidelity import motion_fidelity_as_coded
from vmt.metrics.tracks import follow_grid
from vmt.metrics.trajectory import centred_correlation, endpoint_error, wrong_way_rate
from vmt.synthetic.render import render
from vmt.synthetic.scene import Ground, Scene, SceneObject

NUM_FRAMES = 13


@lru_cache
def tracks(number: int, length: int = NUM_FRAMES, run: int | None = 1):
    return follow_grid(swaying(number, length), run)


def way(number: int, length: int) -> np.ndarray:
    """A way (T,2) in pixels; 0 is the reference's, 1 to 3 are ever further off it."""
    t = np.linspace(0, 2 * np.pi, NUM_FRAMES)[np.arange(length) % NUM_FRAMES]
    truth = np.stack([5 * np.sin(t), 8 * (1 - np.cos(t))], -1)
    off = np.stack([8 * np.sin(2 * t + 1), -9 * np.sin(t)], -1)
    return truth + 0.6 * number * off


def swaying(number: int, length: int = NUM_FRAMES) -> np.ndarray:
    """A picture that goes that way, another picture for each number; -1 is noise."""
    if number < 0:
        return np.random.default_rng(0).random((length, 72, 96, 3)).astype(np.float32)
    affines = np.tile(np.eye(2, 3), (length, 1, 1))
    affines[:, :, 2] = way(number, length)
    return moved(affines, seed=number)


def on_tracks(figure: Callable, name: str, run: int | None = 1) -> Callable:
    return lambda output, length=NUM_FRAMES: figure(tracks(0, length, run), tracks(output, length, run))[name]


def on_camera(figure: Callable) -> Callable:
    return lambda output, length=NUM_FRAMES: figure(*(fit_camera(tracks(n, length)) for n in (0, output)))


def on_path(figure: Callable) -> Callable:
    def told(output, length=NUM_FRAMES):
        noise = np.random.default_rng(1).normal(0, 5, (length, 2))
        return figure(way(0, length), noise if output < 0 else way(output, length))

    return told


@dataclass(frozen=True)
class Metric:
    """figure: (number of the output, frames) -> value; best, and the least or most that noise may have."""

    figure: Callable
    best: float
    noise: float
    tolerance: float = 1e-6


METRICS = {
    "centred_correlation": Metric(on_path(centred_correlation), 1, 0.5),
    "wrong_way_rate": Metric(on_path(wrong_way_rate), 0, 0.3),
    "endpoint_error": Metric(on_path(endpoint_error), 0, 3),
    "located_correlation": Metric(on_tracks(located_correlation, "located_correlation"), 1, 0.1),
    "where_reference_moves": Metric(on_tracks(located_correlation, "where_reference_moves"), 1, 0.1),
    "epe_px": Metric(on_tracks(located_errors, "epe_px"), 0, 2),
    "wrong_way": Metric(on_tracks(located_errors, "wrong_way"), 0, 0.3),
    "camera_correlation": Metric(on_camera(camera_correlation), 1, 0.3),
    "camera_right_px": Metric(on_camera(lambda a, b: camera_error(a, b)["camera_right_px"]), 0, 1),
    "motion_fidelity": Metric(on_tracks(motion_fidelity_as_coded, "motion_fidelity_as_coded", None), 1, 0.9, 1e-4),
}


@pytest.mark.parametrize("name", METRICS)
class TestEachMetric:
    def test_best_on_the_truth_itself(self, name):
        metric = METRICS[name]
        assert metric.figure(0) == pytest.approx(metric.best, abs=metric.tolerance)

    def test_noise_is_at_the_floor(self, name):
        metric = METRICS[name]
        found = metric.figure(-1)
        assert found is None or (found < metric.noise if metric.best else found > metric.noise)

    def test_the_further_off_the_worse(self, name):
        metric = METRICS[name]
        series = [metric.figure(number) for number in range(4)]
        assert series == sorted(series, reverse=bool(metric.best)) and abs(series[0] - series[-1]) > 0.15

    @pytest.mark.parametrize("length", [2, 81])
    def test_short_and_long_clips(self, name, length):
        metric = METRICS[name]
        assert metric.figure(0, length) in (None, pytest.approx(metric.best, abs=max(metric.tolerance, 1e-4)))
        for output in (-1, 2):
            found = metric.figure(output, length)
            assert found is None or np.isfinite(found)

    def test_one_frame_has_no_motion(self, name):
        try:
            assert METRICS[name].figure(0, 1) is None
        except InputError as error:
            assert "." in str(error)


def clip_of(*things: SceneObject):
    camera = torch.eye(2, 3).expand(33, 2, 3).clone()
    return Scene(Ground("teal", "tiled", 3, 24.0, 0.2), camera, list(things))


def thing(start, end, colour="red", size=16.0):
    share = torch.linspace(0, 1, 33)[:, None]
    path = torch.tensor(start) + share * (torch.tensor(end) - torch.tensor(start))
    return SceneObject("circle", colour, size, path, torch.zeros(33))


HARD = {
    "stands": clip_of(thing((64.0, 64.0), (64.0, 64.0))),
    "leaves": clip_of(thing((64.0, 64.0), (64.0, 190.0))),
    "enters": clip_of(thing((64.0, -60.0), (64.0, 64.0))),
    "is hidden": clip_of(thing((64.0, 20.0), (64.0, 108.0)), thing((64.0, 64.0), (64.0, 64.0), "white", 26.0)),
}


@pytest.mark.parametrize("name", HARD)
def test_things_that_stand_come_and_go(name):
    """Every figure of the bench is a number or None, and nothing is better than the reference itself."""
    several = len(HARD[name].objects) > 1
    drawn = bench_cases("multiple_objects" if several else "single_object", 1)[0]
    case = replace(drawn, reference=HARD[name], prompt=HARD[name])
    clip = render(case.reference)
    itself, noise = (judge(case, clip, frames) for frames in (clip.frames, torch.rand_like(clip.frames)))
    for figures in (itself, noise):
        assert all(value is None or np.isfinite(value) for value in figures.values())
    moves = name != "stands"
    assert (itself["centred_correlation"] is None) != moves
    if moves:
        assert itself["centred_correlation"] > 0.9 and itself["located_correlation"] > 0.8
        assert noise["located_correlation"] < 0.3 and noise["epe_px"] > itself["epe_px"]
