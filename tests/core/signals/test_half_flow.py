"""Motion measured at half the height and width beside the whole size."""

import pytest
import torch

from vmt.signals.attention_flow import AttentionFlowConfig, attention_flow_loss, extract
from vmt.token_grid import TokenGrid


def test_half_the_size_is_half_the_displacement(rolled):
    """A shift by four tokens is one by two there; the loss, in parts of the frame, is the same for the same error."""
    features, still = (rolled(16, 16, shift, 3, dim=256) for shift in ((0, 4), (0, 0)))
    features.half, still.half = (rolled(8, 8, shift, 3, dim=256) for shift in ((0, 2), (0, 0)))
    flow = extract(features, AttentionFlowConfig(radius=4, weight="none", span=1))
    assert flow.half.grid == TokenGrid(3, 8, 8) and flow.half.config.radius == 2 and flow.half.half is None
    inside = flow.blocks[0].displacement_tok.reshape(2, 16, 16, 2)[:, :, 4:12]
    inside_half = flow.half.blocks[0].displacement_tok.reshape(2, 8, 8, 2)[:, :, 2:6]
    assert torch.allclose(inside, torch.tensor([0.0, 4.0]), atol=1e-3)
    assert torch.allclose(inside_half, torch.tensor([0.0, 2.0]), atol=1e-3)
    losses = [
        attention_flow_loss(flow, still.queries, still.keys).item(),
        attention_flow_loss(flow.half, still.half.queries, still.half.keys).item(),
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.15)


def test_features_count_both_sizes(rolled):
    features = rolled(8, 8, (0, 1))
    alone = features.get_ram_usage()
    features.half = rolled(4, 4, (0, 1))
    assert features.get_ram_usage() == alone + features.half.get_ram_usage()
