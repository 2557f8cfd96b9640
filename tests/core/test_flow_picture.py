import pytest
import torch

from vmt.errors import InputError
from vmt.flow_picture import LEGEND, draw_displacement
from vmt.signals.attention_flow import AttentionFlow, AttentionFlowConfig, BlockFlow, frame_pairs
from vmt.signals.latent_flow import LatentFlow
from vmt.token_grid import TokenGrid


def flow_of(displacement, frames=3, height=8, width=10, confidence=1.0):
    """The same displacement everywhere."""
    grid, pairs = TokenGrid(frames, height, width), frame_pairs(frames, 2)
    shape = len(pairs), grid.per_frame
    moved = torch.tensor(displacement, dtype=torch.float32).expand(*shape, 2).clone()
    centres = torch.zeros(*shape, 2, dtype=torch.int16)
    block = BlockFlow(centres, moved, torch.full(shape, confidence), centres, -moved)
    return AttentionFlow(grid, AttentionFlowConfig(), pairs, {2: block}, "pre", 0.5, "test")


def middle(picture):
    """Mean colour of the picture without its legend."""
    return picture[:-LEGEND].mean((0, 1))


@pytest.mark.parametrize("style", ["arrows", "colour"])
def test_one_picture_per_frame_step(style):
    frames = torch.rand(9, 128, 160, 3, generator=torch.Generator().manual_seed(0))
    pictures = draw_displacement(frames, flow_of((0, 2)), style=style)
    assert pictures.dtype == torch.float32 and len(pictures) == 2
    assert pictures.shape[1:] == (384 + LEGEND, 480, 3)  # small frames are enlarged
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert not torch.equal(pictures[0], pictures[1])


def test_large_and_odd_frames_keep_their_size():
    pictures = draw_displacement(torch.zeros(9, 481, 833, 3), flow_of((0, 2)))
    assert pictures.shape == (2, 481 + LEGEND, 833, 3)


@pytest.mark.parametrize("style", ["arrows", "colour"])
@pytest.mark.parametrize(
    ("displacement", "strongest", "weakest"),
    # Screen directions on the colour wheel: right is red, up (row down by -1) yellow-green, left cyan, down violet.
    [((0, 2), 0, 1), ((-2, 0), 1, 2), ((0, -2), 1, 0), ((2, 0), 2, 1)],
)
def test_colour_tells_direction(style, displacement, strongest, weakest):
    colour = middle(draw_displacement(torch.zeros(9, 128, 128, 3), flow_of(displacement), style=style)[0])
    assert colour.argmax() == strongest or colour[strongest] > 0.98 * colour.max()
    assert colour.argmin() == weakest or colour[weakest] < 1.02 * colour.min() + 1e-3


def test_arrow_ends_where_the_token_is_found():
    flow = flow_of((0, 0))
    flow.blocks[2].displacement_tok[:, 3 * 10 + 4] = torch.tensor([3.0, 4.0])
    flow.blocks[2].displacement_back_tok[:, 3 * 10 + 4] = torch.tensor([-1.0, -2.0])  # half the difference: 2, 3
    black = torch.zeros(9, 128, 160, 3)
    still, moved = (draw_displacement(black, some)[0, :-LEGEND] for some in (flow_of((0, 0)), flow))
    y, x = ((moved - still).abs().sum(-1) > 0.1).nonzero(as_tuple=True)
    token = 48  # pixels of a token: 384 / 8
    assert abs(y.min() - 3.5 * token) < 8 and abs(y.max() - 5.5 * token) < 8
    assert abs(x.min() - 4.5 * token) < 8 and abs(x.max() - 7.5 * token) < 8


def test_the_frame_shows_through_and_belongs_to_its_latent_frame():
    frames = torch.zeros(9, 128, 160, 3)
    frames[3] = 1.0  # stands for latent frame 1
    pictures = draw_displacement(frames, flow_of((0, 0)))
    assert middle(pictures[1]).mean() > 0.5 and middle(pictures[0]).mean() < 0.2
    other_length = draw_displacement(frames[:7], flow_of((0, 0)))
    assert middle(other_length[1]).mean() > 0.5


def test_low_confidence_is_faint():
    faint, clear = flow_of((0, 2)), flow_of((0, 2))
    faint.blocks[2].confidence[:, 1:] = 0.0
    frames = torch.zeros(9, 128, 160, 3)
    for style in ("arrows", "colour"):
        a, b = (middle(draw_displacement(frames, flow, style=style)[0]).mean() for flow in (faint, clear))
        assert a < 0.6 * b


def test_the_latent_flow_is_drawn_below():
    flow = flow_of((0, 2))
    moved = torch.zeros(len(flow.pairs), 16, 20, 2)
    moved[..., 0] = 2.0  # cells, two to a token: down by one
    flow.latent = LatentFlow(flow.grid, flow.config, flow.pairs, moved, torch.ones(moved.shape[:3]))
    frames = torch.zeros(9, 128, 160, 3)
    above, below = draw_displacement(frames, flow, style="colour")[0].chunk(2)
    torch.testing.assert_close(above, draw_displacement(frames, flow_of((0, 2)), style="colour")[0])
    down = draw_displacement(frames, flow_of((1, 0)), style="colour")[0]
    torch.testing.assert_close(middle(below), middle(down))


def test_a_window_that_leans_inwards_is_not_drawn_as_motion():
    flow = flow_of((0, 2))
    flow.blocks[2].displacement_back_tok[:] = flow.blocks[2].displacement_tok  # as if back came what went there
    black = torch.zeros(9, 128, 160, 3)
    assert torch.equal(
        draw_displacement(black, flow)[0, :-LEGEND], draw_displacement(black, flow_of((0, 0)))[0, :-LEGEND]
    )


def test_refusals():
    frames = torch.zeros(9, 128, 160, 3)
    with pytest.raises(InputError, match="arrows or colour"):
        draw_displacement(frames, flow_of((0, 2)), style="dots")
    with pytest.raises(InputError, match=r"shape \(9, 128, 160\)"):
        draw_displacement(frames[..., 0], flow_of((0, 2)))
