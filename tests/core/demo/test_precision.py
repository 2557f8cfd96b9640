"""In which numbers the demo model is trained and drawn."""

import pytest
import torch

from vmt.demo import precision
from vmt.demo.precision import fast


@pytest.mark.parametrize("units", [(), ("_is_amx_tile_supported",), ("_is_avx512_bf16_supported",)])
@pytest.mark.parametrize("enabled", [True, False])
def test_bfloat16_where_it_is_fast_and_wanted(monkeypatch, units, enabled):
    for unit in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, unit, lambda there=unit in units: there)
    with fast("cpu", enabled):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if units and enabled else torch.float32)


@pytest.mark.parametrize(("quick", "told"), [(True, False), (False, True)])
def test_a_host_on_a_cpu_that_is_slow_in_bfloat16_is_told(monkeypatch, capsys, quick, told):
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: quick)
    assert precision.host_arguments(cpu=True, half=True) == ["--cpu", "--bf16-unet", "--bf16-vae"]
    assert ("many times longer" in capsys.readouterr().err) == told
    assert precision.host_arguments(cpu=True, half=False) == ["--cpu"]
    assert precision.host_arguments(cpu=False, half=True) == ["--bf16-unet", "--bf16-vae"]
    assert not capsys.readouterr().err
