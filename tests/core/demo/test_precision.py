"""In which numbers the demo model is trained and drawn."""

import pytest
import torch

from vmt.demo.precision import fast


@pytest.mark.parametrize("matrix_units", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
def test_bfloat16_where_it_is_fast_and_wanted(monkeypatch, matrix_units, enabled):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: matrix_units)
    with fast("cpu", enabled):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if matrix_units and enabled else torch.float32)
