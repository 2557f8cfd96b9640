import numpy as np
import pytest

from vmt.metrics.components import areas, count_components, drop_small, one_object_share


@pytest.fixture
def mask():
    """Four frames: nothing; one square of 100; squares of 100 and 64; a square of 100 and a speck of 4."""
    mask = np.zeros((4, 40, 50), bool)
    mask[1:, 5:15, 5:15] = True
    mask[2, 25:33, 30:38] = True
    mask[3, 30:32, 30:32] = True
    return mask


def test_areas_and_their_centres(mask):
    labels, sizes, centroids = areas(mask[2])
    order = np.argsort(sizes)
    assert sizes[order].tolist() == [64, 100]
    assert centroids[order].tolist() == [[28.5, 33.5], [9.5, 9.5]]
    assert labels.max() == 2 and (labels > 0).sum() == 164


def test_counting_leaves_specks_out(mask):
    assert count_components(mask).tolist() == [0, 1, 2, 1]
    assert one_object_share(mask) == 0.5


def test_touching_corners_are_connected():
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 2:4, 2:4] = mask[0, 4:6, 4:6] = True
    assert count_components(mask).tolist() == [1]


def test_small_areas_are_dropped(mask):
    assert drop_small(mask, 65).sum((1, 2)).tolist() == [0, 100, 100, 100]
    assert drop_small(mask, 64).sum((1, 2)).tolist() == [0, 100, 164, 100]
    assert mask[3].sum() == 104  # the original is left alone
