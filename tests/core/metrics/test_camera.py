from random import Random

import numpy as np
import pytest
from kornia.filters import gaussian_blur2d
from moving_clips import SIZE, about_centre, moved, pan, with_patch

from vmt.errors import InputError
from vmt.metrics.camera import camera_correlation, camera_error, camera_of_affines, fit_camera, without_camera
from vmt.metrics.tracks import follow_grid
from vmt.synthetic import render, sample_scene

MOTIONS = {
    "pan": pan(1.2, -2.5),
    "zoom in": about_centre(zoom=0.03),
    "zoom out": about_centre(zoom=-0.02),
    "roll": about_centre(roll=0.04),
    "zoom and roll": about_centre(zoom=0.02, roll=-0.03),
}


def fitted(frames):
    return fit_camera(follow_grid(frames))


@pytest.mark.parametrize("name", MOTIONS)
def test_known_camera_is_recovered(name):
    truth, camera = camera_of_affines(MOTIONS[name], SIZE), fitted(moved(MOTIONS[name]))
    assert camera.known.all()
    speed = np.linalg.norm(truth.steps, axis=-1).mean()
    assert np.linalg.norm(camera.steps - truth.steps, axis=-1).mean() < 0.02 * speed + 0.02
    assert camera_correlation(truth, camera) > 0.999
    for t in (0, 5):
        exact = np.r_[MOTIONS[name][t + 1], [[0, 0, 1]]] @ np.linalg.inv(np.r_[MOTIONS[name][t], [[0, 0, 1]]])
        np.testing.assert_allclose(truth.affine(t), exact[:2], atol=1e-9)


def test_four_motions_are_told_apart():
    names = list(MOTIONS)
    cameras = [camera_of_affines(MOTIONS[name], SIZE) for name in names]
    table = np.array([[camera_correlation(a, b) for b in cameras] for a in cameras])
    np.testing.assert_allclose(np.diag(table), 1)
    assert table[names.index("zoom in"), names.index("zoom out")] == pytest.approx(-1)
    for a, b in (("pan", "zoom in"), ("pan", "roll"), ("zoom in", "roll")):
        assert abs(table[names.index(a), names.index(b)]) < 0.1


def test_errors_are_in_pixels_of_each_kind():
    reference, output = camera_of_affines(pan(0, 2), SIZE), camera_of_affines(pan(1, 2.5), SIZE)
    error = camera_error(reference, output)
    assert error == pytest.approx(
        {"camera_down_px": 1, "camera_right_px": 0.5, "camera_zoom_px": 0, "camera_roll_px": 0}
    )
    zoomed = camera_error(reference, camera_of_affines(about_centre(zoom=0.02), SIZE))
    assert zoomed["camera_zoom_px"] == pytest.approx(0.02 * 36) and zoomed["camera_right_px"] == pytest.approx(2)


def test_a_moving_thing_is_no_camera():
    frames = with_patch(moved(pan(0, -1)), (20, 10), (0, 4))
    camera = fitted(frames)
    np.testing.assert_allclose(camera.steps.mean(0), (0, -1, 0, 0), atol=0.1)
    left = without_camera(follow_grid(frames), camera)
    speed = np.linalg.norm(left.steps, axis=-1)[..., 0]
    for t in range(8):
        start = left.points_px[t, :, 0]
        inside = ((start > (28, 18 + 4 * t)) & (start < (40, 30 + 4 * t))).all(-1) & left.known[t, :, 0]
        assert np.median(speed[t, inside]) == pytest.approx(5, abs=0.3)
    assert np.median(speed[left.known[..., 0]]) < 0.1


def test_a_thing_over_an_even_ground_is_no_camera():
    """It is all that can be followed, but it lies together in one part of the frame."""
    camera = fitted(with_patch(np.full((9, *SIZE, 3), 0.4), (20, 10), (0, 4), side=20))
    assert not camera.known.any()
    tracks = follow_grid(with_patch(np.full((9, *SIZE, 3), 0.4), (20, 10), (0, 4), side=20))
    np.testing.assert_array_equal(without_camera(tracks, camera).steps, tracks.steps)


def test_standing_and_unseen_cameras_are_undefined():
    still = camera_of_affines(pan(0, 0), SIZE)
    assert camera_correlation(still, camera_of_affines(pan(0, 2), SIZE)) is None
    flat = fitted(np.full((9, *SIZE, 3), 0.5))
    assert not flat.known.any()
    assert camera_correlation(camera_of_affines(pan(0, 2), SIZE), flat) is None
    assert set(camera_error(still, flat).values()) == {None}


def test_camera_scenes_are_read_right():
    read = []
    for seed in range(16):
        scene = sample_scene(Random(f"camera {seed}"), "camera", num_frames=9)
        clip = render(scene)
        camera = fitted(clip.frames)
        if scene.ground.texture == "striped":  # along its stripes nobody can tell
            assert not camera.known.any()
        else:
            read.append(scene.camera_motion)
            assert camera_correlation(camera_of_affines(clip.camera, (128, 128)), camera) > 0.98
    assert len(set(read)) >= 3


@pytest.mark.parametrize("blur, contrast", [(5, 1), (0, 0.15), (3, 0.4)])
def test_soft_and_faint_grounds_are_read_too(blur, contrast):
    """A ground of soft patches in two shades of navy moves as plainly as one of sharp tiles."""
    for seed in range(4):
        scene = sample_scene(Random(f"soft camera {seed}"), "camera", num_frames=9)
        clip = render(scene)
        if scene.ground.texture == "striped":
            continue
        frames = clip.frames.movedim(-1, 1)
        if blur:
            frames = gaussian_blur2d(frames, (31, 31), (blur, blur))
        mean = frames.mean((0, 2, 3), keepdim=True)
        camera = fitted((mean + contrast * (frames - mean)).movedim(1, -1))
        assert camera.known.mean() > 0.5
        assert camera_correlation(camera_of_affines(clip.camera, (128, 128)), camera) > 0.97


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="run=1"):
        fit_camera(follow_grid(moved(pan(0, 1)), run=None))
    with pytest.raises(InputError, match="8 and 3 steps"):
        camera_correlation(camera_of_affines(pan(0, 1), SIZE), camera_of_affines(pan(0, 1, 4), SIZE))
    one = fitted(moved(pan(0, 0, 1)))
    with pytest.raises(InputError, match="0 and 0 steps"):
        camera_error(one, one)
