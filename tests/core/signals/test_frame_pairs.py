import pytest
import torch

from vmt.errors import InputError
from vmt.signals.frame_pairs import distance_weights, frame_pairs


@pytest.mark.parametrize(("num_frames", "count"), [(21, 57), (13, 33), (9, 21), (6, 12), (3, 3), (2, 1)])
def test_number_of_pairs_at_span_3(num_frames, count):
    pairs = frame_pairs(num_frames, 3)
    assert pairs.shape == (count, 2) and pairs.dtype == torch.int64
    assert len({tuple(pair) for pair in pairs.tolist()}) == count
    distance = pairs[:, 1] - pairs[:, 0]
    assert distance.min() >= 1 and distance.max() <= 3 and pairs.max() == num_frames - 1


def test_weights_fall_with_distance_and_never_divide_by_zero():
    pairs = torch.tensor([[0, 1], [0, 2], [0, 3]])
    torch.testing.assert_close(distance_weights(pairs, 3), torch.tensor([1.0, 0.9, 0.8]))
    assert distance_weights(pairs[:1], 1).tolist() == [1.0]


def test_refusals():
    with pytest.raises(InputError, match=r"1 latent frame; motion needs at least 2, that is 5 video frames"):
        frame_pairs(1, 2)
    with pytest.raises(InputError, match="span is 0"):
        frame_pairs(5, 0)
