"""In which numbers the demo model is trained and drawn."""

import pytest
import torch

from vmt.demo.precision import fast


@pytest.mark.parametrize("units", [(), ("_is_amx_tile_supported",), ("_is_avx512_bf16_supported",)])
@pytest.mark.parametrize("enabled", [True, False])
def test_bfloat16_where_it_is_fast_and_wanted(monkeypatch, units, enabled):
    for unit in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, unit, lambda there=unit in units: there)
    with fast("cpu", enabled):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if units and enabled else torch.float32)
