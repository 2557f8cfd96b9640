import pytest
import torch

from vmt.synthetic import Ground, Scene, render
from vmt.synthetic.ground import _hash


def tones(texture, seed=0, camera=None, angle=0.0):
    """One 128x128 frame's brightness relative to the plain ground."""
    camera = torch.eye(2, 3)[None] if camera is None else camera
    plain = render(Scene(Ground("grey", "plain"), camera)).frames[0]
    return (render(Scene(Ground("grey", texture, seed, 26.0, angle), camera)).frames[0] / plain)[..., 0]


def test_plain_is_flat():
    assert torch.unique(tones("plain")).tolist() == [1.0]


@pytest.mark.parametrize("texture", ["tiled", "striped", "spotted"])
def test_texture_shows_and_depends_on_its_seed(texture):
    assert tones(texture).std() > 0.05
    assert (tones(texture, 1) - tones(texture, 2)).abs().mean() > 0.02
    assert torch.equal(tones(texture, 3), tones(texture, 3))


def test_stripes_run_along_their_angle():
    straight = tones("striped")
    assert straight.std(1).max() < 1e-6 and straight.std(0).min() > 0.05
    down, right = torch.gradient(tones("striped", angle=0.5))
    along = down * torch.sin(torch.tensor(0.5)) + right * torch.cos(torch.tensor(0.5))
    across = down * torch.cos(torch.tensor(0.5)) - right * torch.sin(torch.tensor(0.5))
    assert along.square().mean() < 0.05 * across.square().mean()


@pytest.mark.parametrize("texture", ["tiled", "striped", "spotted"])
def test_ground_never_repeats(texture):
    """No shift of up to eight cells brings the picture back, so a camera's motion over it is unambiguous."""
    camera = torch.tensor([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]])
    wide = tones(texture, 9, camera)
    wide = (wide - wide.mean()) / wide.std()
    for cells in range(1, 6):
        shift = 13 * cells  # a cell is 13 pixels here
        assert (wide[shift:] * wide[:-shift]).mean() < 0.7


def test_hash_is_uniform():
    rows, cols = torch.meshgrid(torch.arange(-50, 50), torch.arange(-50, 50), indexing="ij")
    value = _hash(rows, cols, torch.tensor(1234))
    assert value.min() >= 0 and value.max() <= 1
    assert value.mean() == pytest.approx(0.5, abs=0.01) and value.std() == pytest.approx(12**-0.5, abs=0.01)
    assert torch.corrcoef(torch.stack([value[:, 1:].flatten(), value[:, :-1].flatten()]))[0, 1].abs() < 0.03
    assert torch.corrcoef(torch.stack([value[1:].flatten(), value[:-1].flatten()]))[0, 1].abs() < 0.03
