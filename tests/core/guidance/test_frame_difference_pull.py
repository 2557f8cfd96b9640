"""The pull is the minimum it claims to be, leaves the mean over time alone, and moves nothing it is not asked to."""

import pytest
import torch

from vmt.errors import InputError
from vmt.guidance.frame_difference_pull import difference_filter, pull_frame_differences


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("softness", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("frames", [2, 3, 9, 21])
def test_filter_solves_the_least_squares_problem(frames, softness):
    """min_d |D (x + d) - D r|^2 + softness |d|^2, by a general solver; at softness 0 the shortest of its solutions."""
    gap = normal(frames, 5)
    differences = torch.diff(torch.eye(frames, dtype=torch.float64), dim=0)
    both = torch.cat([differences, softness**0.5 * torch.eye(frames, dtype=torch.float64)])
    wanted = torch.linalg.lstsq(both, torch.cat([differences @ gap, torch.zeros_like(gap)]), driver="gelsd").solution
    torch.testing.assert_close(difference_filter(frames, softness) @ gap, wanted, atol=1e-9, rtol=0)


def test_mean_over_time_stays_and_differences_become_the_references():
    x0, reference = normal(2, 4, 9, 3, 3).float(), normal(1, 4, 9, 3, 3, seed=1).float()
    pulled = pull_frame_differences(x0, reference, strength=1.0, softness=0.0)
    torch.testing.assert_close(pulled.mean(2), x0.mean(2), atol=1e-5, rtol=0)
    wanted = reference.diff(dim=2).expand(2, -1, -1, -1, -1)
    torch.testing.assert_close(pulled.diff(dim=2), wanted, atol=1e-5, rtol=0)


def test_softness_leaves_slow_changes_alone():
    slow = torch.linspace(-1, 1, 9)
    fast = torch.tensor([1.0, -1.0]).repeat(5)[:9]
    for softness, kept_slow, kept_fast in ((0.1, 0.6, 0.95), (3.0, 0.15, 0.5)):
        matrix = difference_filter(9, softness).float()
        assert ((matrix @ slow) @ slow / slow.dot(slow) < kept_slow + 0.2) and (matrix @ fast) @ fast / 9 > kept_fast
        assert (matrix @ slow).norm() / slow.norm() < (matrix @ fast).norm() / fast.norm()


def test_strength_is_the_share_of_the_way():
    x0, reference = normal(1, 2, 5, 2, 2).float(), normal(1, 2, 5, 2, 2, seed=1).float()
    assert pull_frame_differences(x0, reference, 0.0) is x0
    whole, half = (pull_frame_differences(x0, reference, s) - x0 for s in (1.0, 0.5))
    torch.testing.assert_close(half, whole / 2, atol=1e-6, rtol=0)
    assert torch.equal(pull_frame_differences(x0, x0, 1.0), x0)


def test_dtype_stays():
    x0 = normal(1, 2, 5, 2, 2).bfloat16()
    assert pull_frame_differences(x0, normal(1, 2, 5, 2, 2).float(), 0.5).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(1, 2, 6, 2, 2), (1, 3, 5, 2, 2), (2, 2, 5, 2, 2), (1, 2, 5, 4, 2)])
def test_another_form_is_refused(shape):
    with pytest.raises(InputError, match=r"must be equal.*reference's size and length"):
        pull_frame_differences(torch.zeros(1, 2, 5, 2, 2), torch.zeros(shape), 0.5)


@pytest.mark.parametrize("frames, softness", [(1, 0.1), (5, -1.0)])
def test_bad_settings_are_refused(frames, softness):
    with pytest.raises(InputError, match="softness of 0 or more"):
        difference_filter(frames, softness)
