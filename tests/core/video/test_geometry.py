import itertools

import pytest
import torch

from vmt.errors import InputError
from vmt.video.geometry import apply_fit, orientation, plan_fit, target_size, turn_upright


@pytest.mark.parametrize(
    ("shown", "asked", "expected"),
    [
        ((128, 128), (0, 0), (128, 128)),
        ((832, 480), (0, 0), (832, 480)),
        ((130, 97), (0, 0), (128, 96)),
        ((1920, 1080), (0, 0), (832, 480)),
        ((1080, 1920), (0, 0), (480, 832)),
        ((3840, 2160), (0, 0), (832, 480)),
        ((854, 480), (0, 0), (832, 480)),
        ((7, 5), (0, 0), (32, 32)),
        ((1920, 1080), (640, 0), (640, 368)),
        ((1920, 1080), (0, 480), (848, 480)),
        ((64, 48), (830, 475), (832, 480)),
        ((64, 48), (840, 472), (848, 480)),
    ],
)
def test_target_size(shown, asked, expected):
    assert target_size(shown, *asked) == expected


@pytest.mark.parametrize("asked", [(8, 64), (64, 5000), (-16, 0), (31, 31)])
def test_target_size_refuses(asked):
    with pytest.raises(InputError, match=r"(Width|Height) is -?\d+ pixels; 32 to 4096, or 0 .* multiple of 16"):
        target_size((64, 64), *asked)


def ramp(rows, columns):
    """Red is the column, green the row, both 0..1 at the outermost pixel centres."""
    image = torch.zeros(rows, columns, 3)
    image[..., 0] = torch.linspace(0, 1, columns)
    image[..., 1] = torch.linspace(0, 1, rows)[:, None]
    return image


def test_same_size_keeps_the_values_exactly():
    image = torch.rand(48, 64, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(apply_fit(image, plan_fit((64, 48), (64, 48), "crop")), image)
    whole = (image * 255).to(torch.uint8)
    assert torch.equal(apply_fit(whole, plan_fit((64, 48), (64, 48), "crop")), whole.float() / 255)


def test_crop_cuts_the_middle_without_scaling():
    image = ramp(48, 100)
    assert torch.equal(apply_fit(image, plan_fit((100, 48), (64, 48), "crop")), image[:, 18:82])


def test_crop_keeps_proportions_and_stretch_does_not():
    image = ramp(100, 200)
    cropped = apply_fit(image, plan_fit((200, 100), (48, 48), "crop"))
    assert cropped.shape == (48, 48, 3)
    assert cropped[24, 0, 0] == pytest.approx(0.25, abs=0.02) and cropped[24, -1, 0] == pytest.approx(0.75, abs=0.02)
    stretched = apply_fit(image, plan_fit((200, 100), (48, 48), "stretch"))
    assert stretched[24, 0, 0] == pytest.approx(0.0, abs=0.02) and stretched[24, -1, 0] == pytest.approx(1.0, abs=0.02)


def test_pad_shows_all_between_black_borders():
    padded = apply_fit(torch.ones(50, 100, 3), plan_fit((100, 50), (64, 64), "pad"))
    assert padded.shape == (64, 64, 3)
    assert padded[:16].max() == 0 and padded[48:].max() == 0 and padded[16:48].min() > 0.99


def test_odd_differences_are_cut_and_padded_to_the_exact_size():
    for shown, fit in itertools.product([(77, 53), (129, 31)], ["crop", "pad", "stretch"]):
        assert apply_fit(torch.rand(shown[1], shown[0], 3), plan_fit(shown, (64, 48), fit)).shape == (48, 64, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_scaled_too(dtype):
    image, plan = ramp(48, 64).to(dtype), plan_fit((64, 48), (32, 32), "crop")
    assert torch.equal(apply_fit(image, plan), apply_fit(image.float(), plan))


def test_downscaling_does_not_alias():
    stripes = torch.zeros(64, 512, 3)
    stripes[:, ::2] = 1.0
    small = apply_fit(stripes, plan_fit((512, 64), (96, 64), "stretch"))
    assert (small[:, 4:-4] - 0.5).abs().max() < 0.05


def test_plan_fit_refuses_an_unknown_fit():
    with pytest.raises(InputError, match=r"Fit is 'fill'; one of crop, pad, stretch"):
        plan_fit((64, 48), (64, 48), "fill")


@pytest.mark.parametrize(
    "matrix",
    [
        *[(1, 0, 0, 1), (-1, 0, 0, -1), (-1, 0, 0, 1), (1, 0, 0, -1)],
        *[(0, 1, -1, 0), (0, -1, 1, 0), (0, 1, 1, 0), (0, -1, -1, 0)],
    ],
)
def test_turning_upright_moves_each_pixel_where_the_matrix_says(matrix):
    m0, m1, m3, m4 = matrix
    rows, columns = 3, 5
    stored = torch.arange(rows * columns).reshape(rows, columns, 1)
    moved = {}
    for q, p in itertools.product(range(rows), range(columns)):
        moved[(m1 * p + m4 * q, m0 * p + m3 * q)] = int(stored[q, p])
    top, left = min(row for row, _ in moved), min(column for _, column in moved)
    expected = {(row - top, column - left): value for (row, column), value in moved.items()}
    nine = [65536 * value for value in (m0, m1, 0, m3, m4, 0, 0, 0)] + [2**30]
    shown = turn_upright(stored, orientation(nine))[..., 0]
    assert {(row, column): int(shown[row, column]) for row, column in expected} == expected
    assert shown.numel() == rows * columns
