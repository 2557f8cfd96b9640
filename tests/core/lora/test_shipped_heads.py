"""The table of the demo model's heads belongs to the weights that are shipped."""

import pytest
import torch

from vmt.demo.heads import FILE, measure_heads, write_heads
from vmt.demo.sampling import load_dit
from vmt.demo.train import DIT_FILE, WEIGHTS
from vmt.lora.roles_file import find_roles, fingerprint, marking_weights, read_roles

TOLD = "the weights are new: run `python3 -m vmt train demo --heads`"


@pytest.fixture(scope="module")
def measured():
    return measure_heads(WEIGHTS)


def test_the_shipped_table_is_that_of_the_shipped_weights():
    dit = load_dit(WEIGHTS / DIT_FILE)
    mark = fingerprint(marking_weights(dict(dit.named_parameters()), dit.shape.blocks))
    roles = find_roles([WEIGHTS / "heads"], mark, (dit.shape.blocks, dit.shape.heads))
    assert roles is not None, TOLD
    assert roles.temporal.any(1).all() and not roles.temporal.all(1).any()


def test_its_ratios_are_what_the_model_does(measured):
    """On another clip they differ somewhat; those of another model, or of blocks in another order, differ by far."""
    kept = read_roles(WEIGHTS / FILE)[0].ratio
    off = (measured.ratio / kept).log().abs()
    print(
        f"\nratios measured anew against those kept: {off.exp().mean():.3f} in the mean, {off.exp().max():.3f} at most"
    )
    assert off.max() < 0.7, TOLD
    shuffled = (measured.ratio.roll(1, 0) / kept).log().abs()
    assert off.mean() < 0.3 * shuffled.mean()


def test_the_command_writes_a_table_that_the_tuner_finds(measured, tmp_path, monkeypatch):
    monkeypatch.setattr("vmt.demo.heads.measure_heads", lambda folder: measured)
    (tmp_path / DIT_FILE).parent.mkdir()
    (tmp_path / DIT_FILE).write_bytes((WEIGHTS / DIT_FILE).read_bytes())
    assert write_heads(tmp_path) == tmp_path / FILE
    written, mark = read_roles(tmp_path / FILE)
    assert mark == read_roles(WEIGHTS / FILE)[1]
    torch.testing.assert_close(written.ratio, measured.ratio, atol=1e-4, rtol=0)
