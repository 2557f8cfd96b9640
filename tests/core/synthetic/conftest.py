"""Scenes made to measure, so that the expected picture can be written down."""

import pytest
import torch

from vmt.synthetic import Ground, Scene, SceneObject


@pytest.fixture(scope="session")
def identity():
    def make(num_frames=1):
        return torch.eye(2, 3).expand(num_frames, 2, 3).clone()

    return make


@pytest.fixture(scope="session")
def scene_of(identity):
    """A scene of one white thing at given places (T,2), or of none."""

    def make(shape=None, places=((63.5, 63.5),), size=18.0, angle=0.0, ground=None, camera=None):
        places = torch.tensor(places, dtype=torch.float32)
        camera = identity(len(places)) if camera is None else camera
        things = [SceneObject(shape, "white", size, places, torch.full((len(places),), angle))] if shape else []
        return Scene(ground or Ground("black", "plain"), camera, things)

    return make
