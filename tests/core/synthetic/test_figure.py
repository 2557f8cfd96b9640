from random import Random

import pytest
import torch

from vmt.errors import InputError
from vmt.synthetic import render, sample_scene
from vmt.synthetic.figure import FIGURE_MOTIONS, make_figure

SEEDS = range(12)


@pytest.mark.parametrize("motion", FIGURE_MOTIONS)
def test_bones_keep_their_length(motion):
    for seed in SEEDS:
        figure = make_figure(motion, "red", Random(seed), 33, 128, 128)
        length = (figure.bones[:, :, 1] - figure.bones[:, :, 0]).norm(dim=-1)
        assert length.shape == (33, 10)
        torch.testing.assert_close(length, length[:1].expand_as(length), atol=1e-2, rtol=0)


@pytest.mark.parametrize("motion", FIGURE_MOTIONS)
def test_limbs_hang_together(motion):
    bones = make_figure(motion, "red", Random(1), 33, 128, 128).bones
    for upper in (2, 4, 6, 8):
        torch.testing.assert_close(bones[:, upper, 1], bones[:, upper + 1, 0])


def extent(figure):
    """Lowest and highest (row, col) that any bone reaches."""
    reach = figure.thickness[None, :, None, None]
    return (figure.bones - reach).amin((0, 1, 2)), (figure.bones + reach).amax((0, 1, 2))


@pytest.mark.parametrize("motion", FIGURE_MOTIONS)
def test_figure_stays_inside(motion):
    for seed in range(60):
        low, high = extent(make_figure(motion, "red", Random(seed), 33, 128, 128))
        assert (low >= -1e-3).all() and (high <= 127 + 1e-3).all()


def test_each_motion_moves_what_its_name_says():
    for seed in SEEDS:
        hip = {m: make_figure(m, "red", Random(seed), 33, 128, 128).bones[:, 1, 0] for m in FIGURE_MOTIONS}
        span = {m: path.amax(0) - path.amin(0) for m, path in hip.items()}
        assert span["walk"][1] > 36 and span["walk"][0] < 8
        assert span["jump"][0] > 8 and span["jump"][1] < 1
        assert span["wave"].max() < 1 and span["turn"].max() < 1
        hands = make_figure("wave", "red", Random(seed), 33, 128, 128).bones[:, [3, 5], 1]
        assert (hands.amax(0) - hands.amin(0)).amax(1).max() > 5
        turned = make_figure("turn", "red", Random(seed), 33, 128, 128).bones
        width = turned[..., 1].amax((1, 2)) - turned[..., 1].amin((1, 2))
        assert width.min() < 0.6 * width.max()


def test_track_of_a_figure_is_the_mean_of_its_bones():
    clip = render(sample_scene(Random(1), "figure", num_frames=9))
    torch.testing.assert_close(clip.tracks_px[0], clip.scene.figure.bones.mean((1, 2)))
    assert clip.masks[0].sum((1, 2)).min() > 300 and clip.caption.split()[2] == "figure"


def test_unknown_motion_is_refused():
    with pytest.raises(InputError, match="moonwalk"):
        make_figure("moonwalk", "red", Random(0), 5, 128, 128)
