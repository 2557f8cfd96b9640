import pytest
import torch

from vmt.guidance.gradient_skip import GradientSkip


@pytest.mark.parametrize(("every", "computed"), [(1, list(range(10))), (3, [0, 3, 6, 9]), (10, [0]), (99, [0])])
def test_which_iterations_compute(every, computed):
    skip = GradientSkip(every)
    for _ in range(2):  # each guided step counts anew
        done = []
        for j in range(10):
            if skip.is_due(j):
                skip.hold(torch.zeros(1), torch.full((1, 2), float(j)))
                done.append(j)
            assert skip.held()[1][0, 0] == done[-1]
        assert done == computed
    assert (skip.num_evaluations, skip.num_updates) == (2 * len(computed), 20)


def test_a_run_that_stopped_in_the_middle_of_a_step_starts_with_a_new_gradient():
    skip = GradientSkip(4)
    assert all(skip.is_due(j) for j in range(4))  # nothing is held yet
    skip.hold(torch.zeros(1), torch.zeros(1, 2))
    assert [skip.is_due(j) for j in range(5)] == [True, False, False, False, True]
