import math

import pytest
import torch

from vmt.errors import InputError
from vmt.metrics.psnr import psnr


def test_known_answers():
    a = torch.full((2, 4, 4, 3), 0.5)
    assert psnr(a, a) == math.inf
    assert psnr(a, a + 0.1) == pytest.approx(20, abs=1e-4)
    assert psnr(a, a - 0.01) == pytest.approx(40, abs=1e-4)
    assert psnr(a * 0 + 1, a * 0 + 7) == math.inf  # both are white on a screen


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match=r"\(2, 3\) and \(3, 2\)"):
        psnr(torch.zeros(2, 3), torch.zeros(3, 2))
