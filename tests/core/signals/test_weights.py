import pytest
import torch

from vmt.signals.weights import WEIGHTS, token_weights

MOVED = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, -2.5]]])
CONFIDENCE = torch.tensor([[1.0, 0.5, 0.0]])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("none", [1.0, 1.0, 1.0]),
        ("motion", [0.3, 1.0, 0.65]),
        ("confidence", [1.0, 0.5, 0.0]),
        ("motion_confidence", [0.3, 0.5, 0.0]),
    ],
)
def test_known_answers(rule, expected):
    torch.testing.assert_close(token_weights(rule, MOVED, CONFIDENCE), torch.tensor([expected]))


@pytest.mark.parametrize("rule", WEIGHTS)
def test_a_still_reference_weighs_every_token_the_same(rule):
    weight = token_weights(rule, torch.zeros(2, 5, 2), torch.ones(2, 5))
    assert (weight == weight[0, 0]).all() and weight[0, 0] > 0
