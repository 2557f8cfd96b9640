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


def test_a_run_that_stopped_in_the_middle_of_a_step_starts_with_a_new_gradient():
    skip = GradientSkip(4)
    assert all(skip.is_due(j) for j in range(4))  # nothing is held yet
    skip.hold(torch.zeros(1), torch.zeros(1, 2))
    assert [skip.is_due(j) for j in range(5)] == [True, False, False, False, True]


@pytest.fixture
def clip():
    return torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0))


def steps_that_compute(skip, clips):
    computed = []
    for i, predicted in enumerate(clips):
        skip.begin_step(predicted)
        if skip.is_due(0):
            skip.hold(torch.zeros(2), torch.full((2, 1), float(i)))
            computed.append(i)
        assert skip.held()[1][0, 0] == computed[-1] and not skip.is_due(1)
    return computed


def test_a_gradient_serves_so_many_further_steps(clip):
    for reuse_steps, computed in ((0, [0, 1, 2, 3, 4, 5]), (1, [0, 2, 4]), (2, [0, 3]), (9, [0])):
        assert steps_that_compute(GradientSkip(9, reuse_steps, turn=0.9), [clip] * 6) == computed


def test_a_prediction_that_has_turned_ends_it(clip):
    """Compared with the step the gradient is of, not with the last one: slow turns add up."""
    other = torch.randn(clip.shape, generator=torch.Generator().manual_seed(1))
    turning = [torch.cos(a) * clip + torch.sin(a) * other for a in torch.linspace(0, 1.5, 7)]
    assert steps_that_compute(GradientSkip(9, 9, turn=0.9), turning) == [0, 2, 4, 6]
    assert steps_that_compute(GradientSkip(9, 9, turn=-1), turning) == [0]
    one = [torch.stack([clip[0], turned[1]]) for turned in turning]  # one video of a batch turns
    alone = [videos[1:] for videos in one]
    computed = steps_that_compute(GradientSkip(9, 9, turn=0.9), alone)
    assert steps_that_compute(GradientSkip(9, 9, turn=0.9), one) == computed and len(computed) > 1


def test_what_does_not_move_does_not_count(clip):
    ground = 5 * torch.randn(2, 3, 1, 5, 5, generator=torch.Generator().manual_seed(2))
    assert steps_that_compute(GradientSkip(9, 9, turn=0.99), [clip, clip + ground, clip - ground]) == [0]


def test_before_there_is_a_prediction_each_step_computes(clip):
    assert steps_that_compute(GradientSkip(9, 9, turn=0.9), [None, None, clip, clip]) == [0, 1, 2]
