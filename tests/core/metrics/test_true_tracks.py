from random import Random

import numpy as np
import pytest
import torch

from vmt.metrics.camera import camera_correlation, camera_of_affines, fit_camera
from vmt.metrics.located import located_errors
from vmt.metrics.tracks import follow_grid
from vmt.metrics.true_tracks import true_tracks
from vmt.synthetic import Ground, Scene, SceneObject, render, sample_scene
from vmt.synthetic.sample import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_measured_tracks_agree_with_the_truth(kind):
    """Where a point can be followed on a thing or on a textured ground, it is found where it truly went."""
    errors = []
    for seed in range(4):
        clip = render(sample_scene(Random(f"{kind} {seed}"), kind, num_frames=25))
        if clip.scene.ground.texture == "striped":  # nobody can tell how far it moves along its stripes
            continue
        truth, measured = true_tracks(clip), follow_grid(clip.frames)
        error = np.linalg.norm(truth.steps - measured.steps, axis=-1)[truth.known & measured.known]
        errors.append(error)
    errors = np.concatenate(errors)
    assert len(errors) > 200 and np.median(errors) < 0.3


def scene_of(centre, angle=None):
    thing = SceneObject("square", "red", 20.0, centre, torch.zeros(len(centre)) if angle is None else angle)
    return Scene(Ground("navy", "plain"), torch.eye(2, 3).repeat(len(centre), 1, 1), [thing])


CENTRE = torch.stack([torch.full((5,), 64.0), 40 + 3.0 * torch.arange(5)], -1)


def test_thing_moves_and_ground_stands():
    clip = render(scene_of(CENTRE))
    tracks = true_tracks(clip)
    speed = np.linalg.norm(tracks.steps[:, :, 0], axis=-1)
    assert set(np.unique(speed[tracks.known[..., 0]].round(4))) == {0, 3}
    near = np.linalg.norm(tracks.points_px[0, :, 0] - CENTRE[0].numpy(), axis=-1) < 12
    assert (speed[0, near] == pytest.approx(3)) and tracks.known[0, near].all()
    row, column = tracks.points_px[0, :, 0].round().astype(int).T
    before, after = (clip.masks[0, t].numpy()[row, column] for t in (0, 1))
    covered = (before == 0) & (after > 0.5)
    assert covered.any() and not tracks.known[0, covered].any()


def test_turning_thing_turns_the_way_it_is_drawn():
    still = CENTRE[:1].repeat(5, 1) + torch.tensor([0.0, 24.0])
    clip = render(scene_of(still, angle=0.08 * torch.arange(5)))
    truth, measured = true_tracks(clip), follow_grid(clip.frames)
    assert located_errors(truth, measured)["wrong_way"] < 0.1
    offset = truth.points_px[0, :, 0] - still[0].numpy()
    on_it = np.linalg.norm(offset, axis=-1) < 12
    cos, sin = np.cos(0.08), np.sin(0.08)
    expected = offset[on_it] @ np.array([[cos, -sin], [sin, cos]]) - offset[on_it]
    np.testing.assert_allclose(truth.steps[0, on_it, 0], expected, atol=1e-4)


def test_camera_of_the_true_tracks_is_the_camera():
    for seed in range(4):
        clip = render(sample_scene(Random(f"true camera {seed}"), "camera", num_frames=5))
        fitted = fit_camera(true_tracks(clip))
        exact = camera_of_affines(clip.camera, (128, 128))
        np.testing.assert_allclose(fitted.steps, exact.steps, atol=1e-2)
        assert camera_correlation(exact, fitted) > 0.9999


def test_figure_moves_with_its_bones():
    clip = render(sample_scene(Random(3), "figure", num_frames=7))
    tracks, bones = true_tracks(clip), clip.scene.figure.bones
    for t in (0, 4):
        torso = bones[t, 1].mean(0)
        near = np.linalg.norm(tracks.points_px[t, :, 0] - torso.numpy(), axis=-1).argmin()
        expected = (bones[t + 1, 1].mean(0) - torso).numpy()
        np.testing.assert_allclose(tracks.steps[t, near, 0], expected, atol=0.5)


def test_single_frame_has_no_tracks():
    assert true_tracks(render(scene_of(CENTRE[:1]))).points_px.shape[0] == 0
