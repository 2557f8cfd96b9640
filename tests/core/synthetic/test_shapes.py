import math

import pytest
import torch

from vmt.demo.vocabulary import SHAPES
from vmt.synthetic import render
from vmt.synthetic.shapes import bounding_radius, outline_tables

ARM = 0.34  # of the cross
# Areas of outlines whose outermost corner (edge of the circle; arm's end of the cross) lies at radius 1.
AREAS = {
    "circle": math.pi,
    "square": 2.0,
    "triangle": 3 * math.sqrt(3) / 4,
    "star": 10 * 0.5 * 0.42 * math.sin(math.pi / 5),
    "cross": 8 * ARM - 4 * ARM**2,
}
CORNER = {shape: 1.0 for shape in SHAPES} | {"cross": math.hypot(1, ARM)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("angle", [0.0, 0.3])
@pytest.mark.parametrize("place", [(63.5, 63.5), (60.2, 71.7)])
def test_coverage_sums_to_the_area(scene_of, shape, angle, place):
    size = 18.0
    cover = render(scene_of(shape, [place], size, angle)).masks[0, 0]
    expected = AREAS[shape] * (bounding_radius(shape) / CORNER[shape] * size) ** 2
    assert cover.sum().item() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_edges_are_blended_over_one_pixel(scene_of, shape):
    cover = render(scene_of(shape, [(60.2, 71.7)])).masks[0, 0]
    partly = ((cover > 0) & (cover < 1)).sum()
    inside = cover == 1
    assert partly > 40 and inside.sum() > 300
    # The rim is thin: two steps away from any full pixel there is nothing.
    near = torch.nn.functional.max_pool2d(inside[None, None].float(), 7, 1, 3)[0, 0] > 0
    assert shape == "star" or cover[~near].max() == 0


def test_outline_is_the_polygon_itself():
    """A square's edge lies at a / max(|sin|, |cos|)."""
    radius, slope = (table[SHAPES.index("square")] for table in outline_tables())
    theta = -torch.pi + 2 * torch.pi * torch.arange(len(radius)) / len(radius)
    steepest = torch.maximum(theta.sin().abs(), theta.cos().abs())
    apothem = bounding_radius("square") / math.sqrt(2)
    torch.testing.assert_close(radius, apothem / steepest, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(slope, steepest, rtol=1e-5, atol=1e-5)


def test_shape_turns_with_its_angle(scene_of):
    upright = render(scene_of("triangle", angle=0.0)).masks[0, 0]
    assert upright[:56].sum() < upright[71:].sum()  # the first corner is up
    quarter = render(scene_of("triangle", angle=math.pi / 2)).masks[0, 0]
    # + turns the ray from +col towards +row: clockwise on the screen, so the corner that was up is right.
    torch.testing.assert_close(quarter, upright.rot90(-1), atol=0.02, rtol=0)
