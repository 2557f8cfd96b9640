"""By how much a known camera moves a known place."""

import json

import pytest
import torch

from vmt.demo import evaluate
from vmt.demo.camera_accuracy import agreement, camera_displacement

PAIRS = torch.tensor([[0, 1], [1, 2]])


def camera(row, column, frames=9):
    """Pans by so many pixels a frame."""
    moving = torch.eye(2, 3).repeat(frames, 1, 1)
    moving[:, :, 2] = torch.arange(frames)[:, None] * torch.tensor([row, column])
    return moving


def test_a_pan_moves_every_place_alike():
    moved, inside = camera_displacement(camera(0.0, 1.0), PAIRS, (4, 6), 8)
    # Latent frames stand for pixel frame 0, and the means of 1 to 4 and of 5 to 8.
    torch.testing.assert_close(moved[0], torch.tensor([0.0, 2.5 / 8]).double().expand(4, 6, 2))
    torch.testing.assert_close(moved[1], torch.tensor([0.0, 4 / 8]).double().expand(4, 6, 2))
    assert inside[0].all() and not inside[1, :, -1].any() and inside[1, :, :-1].all()


def test_a_zoom_moves_from_the_centre():
    zoom = torch.eye(2, 3).repeat(9, 1, 1)
    zoom[5:, 0, 0] = zoom[5:, 1, 1] = 1.5
    zoom[5:, :, 2] = torch.tensor([15.5, 23.5]) * -0.5
    moved, inside = camera_displacement(zoom, PAIRS, (4, 6), 8)
    torch.testing.assert_close(moved[0], torch.zeros(4, 6, 2).double())
    torch.testing.assert_close(moved[1, 0, 0], torch.tensor([3.5 - 15.5, 3.5 - 23.5]).double() * 0.5 / 8)
    assert not inside[1, 0, 0] and inside[1, 1:3, 1:5].all()


def test_agreement():
    true, inside = torch.randn(2, 4, 6, 2).double(), torch.ones(2, 4, 6, dtype=torch.bool)
    assert agreement(0.2 * true, true, inside) == pytest.approx(1)
    assert agreement(-true, true, inside) == pytest.approx(-1)
    assert agreement(torch.zeros_like(true), true, inside) == 0
    inside[:, :2] = False
    assert agreement(true * inside[..., None], true, inside) == pytest.approx(1)


def test_the_command(tmp_path, capsys):
    assert evaluate.main(["camera", "--cases", "1", "--json", str(tmp_path / "camera.json")]) == 0
    table = json.loads((tmp_path / "camera.json").read_text())
    assert len(table) == 7 and table["latent flow"]["median"] > 0.4
    attention = [row["median"] for name, row in table.items() if name != "latent flow"]
    assert max(attention) < table["latent flow"]["median"]
    assert "latent flow" in capsys.readouterr().out
