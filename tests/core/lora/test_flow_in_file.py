"""The latent flow of a clip in what a LoRA file says of itself."""

import pytest
import torch

from vmt.errors import InputError
from vmt.lora.files import read, write
from vmt.lora.flow_in_file import read_flow, written_flow
from vmt.lora.use import Use, use_in_file
from vmt.signals.attention_flow import AttentionFlowConfig
from vmt.signals.latent_flow import extract_latent_flow, latent_flow_loss
from vmt.token_grid import TokenGrid

GRID = TokenGrid(5, 8, 10)


@pytest.fixture
def latent():
    generator = torch.Generator().manual_seed(0)
    still = torch.randn(1, 16, 1, 16, 20, generator=generator)
    return torch.cat([still.roll(t, 4) for t in range(5)], 2)


@pytest.fixture
def flow(latent):
    return extract_latent_flow(latent, GRID, AttentionFlowConfig(span=3, weight="confidence"))


def test_what_is_written_is_read(flow):
    again = read_flow(written_flow(flow))
    assert again.grid == GRID and torch.equal(again.pairs, flow.pairs)
    assert (again.config.span, again.config.weight) == (3, "confidence")
    for name in ("displacement", "confidence"):
        assert torch.equal(getattr(again, name), getattr(flow, name).half().float()), name


def test_it_guides_as_the_one_that_was_measured(flow, latent):
    clip = latent.flip(2)
    measured, kept = (latent_flow_loss(each, clip) for each in (flow, read_flow(written_flow(flow))))
    torch.testing.assert_close(kept, measured, rtol=1e-2, atol=0)
    assert kept > 3 * latent_flow_loss(read_flow(written_flow(flow)), latent)


def test_a_file_holds_it_beside_its_tensors(flow, tmp_path):
    tensors = {"a": torch.ones(2)}
    write(tmp_path / "lora.safetensors", tensors, Use(0.7, flow).written())
    found, about = read(tmp_path / "lora.safetensors")
    assert found.keys() == tensors.keys(), "stock loaders warn of every tensor that fits no weight"
    assert torch.equal(use_in_file(about).flow.displacement, flow.displacement.half().float())


def test_it_is_small_at_the_size_of_wan():
    """81 frames of 480x832."""
    latent = torch.randn(1, 16, 21, 60, 104, generator=torch.Generator().manual_seed(1))
    flow = extract_latent_flow(latent, TokenGrid(21, 30, 52), AttentionFlowConfig())
    assert sum(map(len, written_flow(flow).values())) < 300_000


def test_of_a_file_that_says_nothing_of_it():
    assert read_flow({"rank": "12"}) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"flow_displacement": "AAAA"},
        {"flow_confidence": "no base64!"},
        {"flow_confidence": "ü"},
        {"flow_grid": "5 8"},
        {"flow_grid": "5 8 11"},
        {"flow_grid": "0 8 10"},
        {"flow_grid": "1000000000 8 10"},
        {"flow_span": "1000000000"},
        {"flow_span": "some"},
        {"flow_weight": "heavy"},
    ],
)
def test_a_damaged_one_is_refused(flow, damage):
    with pytest.raises(InputError, match=r"latent flow in a LoRA file cannot be read.*Tune the clip again"):
        read_flow({**written_flow(flow), **damage})


@pytest.mark.parametrize("part", ["flow_span", "flow_displacement", "flow_confidence"])
def test_one_of_which_a_part_is_missing_is_refused(flow, part):
    told = written_flow(flow)
    del told[part]
    with pytest.raises(InputError, match="KeyError"):
        read_flow(told)


def test_one_that_is_no_number_is_refused(flow):
    flow.displacement[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="NaN or infinity"):
        read_flow(written_flow(flow))
