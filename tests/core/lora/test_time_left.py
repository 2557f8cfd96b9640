"""Minutes that a tuning still takes."""

from vmt.lora.time_left import TimeLeft


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


def made(left, clock, stage, steps, seconds):
    """What is told after each of the steps, which take so many seconds each."""
    told = []
    for step in steps:
        clock.seconds += seconds
        told.append(left.minutes(stage, step))
    return told


def test_by_the_rate_of_the_steps_that_were_made():
    clock = Clock()
    left = TimeLeft([(100, 5)], clock)
    assert made(left, clock, 0, range(1, 101), 30.0) == [None, *(-(-(100 - i) // 2) for i in range(2, 100)), None]


def test_a_run_that_was_taken_up_again_counts_its_own_steps_alone():
    clock = Clock()
    left = TimeLeft([(100, 5)], clock)
    assert made(left, clock, 0, (51, 52, 53), 60.0) == [None, 48, 47]


def test_a_later_stage_costs_by_its_size():
    clock = Clock()
    left = TimeLeft([(10, 1), (10, 5)], clock)
    assert made(left, clock, 0, range(1, 11), 60.0)[1:] == [58, 57, 56, 55, 54, 53, 52, 51, 50]
    assert made(left, clock, 1, (1, 2), 120.0) == [45, 16], "first by the stage before, then by its own"


def test_never_less_than_a_minute():
    clock = Clock()
    assert made(TimeLeft([(9, 1)], clock), clock, 0, range(1, 9), 0.001)[1:] == [1] * 7
