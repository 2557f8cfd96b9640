"""Clips thinned out in time, and where their frames sit."""

from random import Random

import pytest

from vmt.errors import InputError
from vmt.lora.sparse_frames import (
    SPARSE,
    auto_stride,
    num_sparse,
    sparse_frames,
    sparse_latents,
    sparse_phases,
)


@pytest.mark.parametrize("frames", [5, 9, 17, 33, 49, 81, 121])
def test_both_ends_4n_plus_1_and_even(frames):
    for stride in range(1, (frames - 1) // 4 + 1):
        for phase in (-1.0, -0.3, 0.0, 0.8, 1.0):
            chosen = sparse_frames(frames, stride, phase).tolist()
            assert (chosen[0], chosen[-1]) == (0, frames - 1)
            assert len(chosen) % 4 == 1 and len(chosen) >= 5
            assert chosen == sorted(set(chosen))
            assert (len(chosen) - 1) * stride == pytest.approx(frames - 1, rel=0.5)


def test_known():
    assert sparse_frames(81, 5).tolist() == list(range(0, 81, 5))
    assert sparse_frames(33, 2).tolist() == list(range(0, 33, 2))
    assert sparse_frames(33, 1).tolist() == list(range(33))


def test_phase_moves_what_is_between():
    """By half a distance either way."""
    early, late = sparse_frames(81, 5, -1.0)[1:-1], sparse_frames(81, 5, 1.0)[1:-1]
    assert ((late - early) == 5).all()
    assert sparse_frames(33, 2, -1.0).tolist() == [0, *range(1, 30, 2), 32]
    assert sparse_frames(33, 2, 1.0).tolist() == [0, *range(3, 32, 2), 32]


@pytest.mark.parametrize("frames, stride, number", [(25, 2, 3), (33, 2, 3), (81, 5, 3), (81, 5, 5)])
def test_phases_differ(frames, stride, number):
    found = sparse_phases(frames, stride, number, Random(0))
    assert found[0].tolist() == sparse_frames(frames, stride).tolist()
    assert len({tuple(chosen.tolist()) for chosen in found}) == len(found) == number


def test_of_every_frame_there_is_one_phase():
    assert [chosen.tolist() for chosen in sparse_phases(33, 1, 3, Random(0))] == [list(range(33))]
    assert len(sparse_phases(33, 2, 16, Random(0))) == 3, "even, earlier and later"


@pytest.mark.parametrize("frames, left", [(5, 5), (9, 9), (17, 17), (33, 17), (49, 17), (81, 17), (121, 17)])
def test_auto_stride_leaves_about_17_frames(frames, left):
    for sparse in SPARSE:
        assert num_sparse(frames, auto_stride(frames, sparse), sparse) == left


@pytest.mark.parametrize("frames, step", [(33, 2), (29, 2), (45, 2), (57, 3), (81, 5), (121, 7), (161, 10), (173, 10)])
def test_of_auto_strides_the_one_that_leaves_the_fewest_over(frames, step):
    assert auto_stride(frames) == step


@pytest.mark.parametrize("frames", [1, 4, 32, 34])
def test_refuses_what_is_not_4n_plus_1(frames):
    with pytest.raises(InputError, match=f"{frames} frames; tuning needs 4n"):
        sparse_frames(frames, 1)


@pytest.mark.parametrize("stride", [0, 9, 100])
def test_refuses_a_stride_that_leaves_too_little(stride):
    with pytest.raises(InputError, match=f"stride {stride} .* 1 to 8 are allowed"):
        sparse_frames(33, stride)


@pytest.mark.parametrize("frames", [5, 9, 17, 29, 33, 45, 49, 81, 121])
def test_latent_frames_lie_evenly_from_the_first(frames):
    last = (frames - 1) // 4
    for stride in range(1, last + 1):
        stays = sparse_latents(frames, stride)
        [step] = set(stays.diff().tolist())
        assert stays[0] == 0 and last - step < stays[-1] <= last
        assert step == stride, "as asked"


def test_known_latent_frames():
    assert sparse_latents(81, 5).tolist() == [0, 5, 10, 15, 20]
    assert sparse_latents(33, 2).tolist() == [0, 2, 4, 6, 8]
    assert sparse_latents(33, 1).tolist() == list(range(9))
    assert sparse_latents(29, 2).tolist() == [0, 2, 4, 6], "no step of 2 ends at the last, 7"
    assert sparse_latents(45, 3).tolist() == [0, 3, 6, 9]


def test_as_many_latent_frames_as_so_many_video_frames_have():
    assert num_sparse(81, 5, "frames") == num_sparse(81, 5, "latents") == 17
    assert (num_sparse(45, 3, "frames"), num_sparse(45, 3, "latents")) == (17, 13)
    with pytest.raises(InputError, match="sparse is 'videos'; latents or frames is allowed"):
        num_sparse(33, 2, "videos")


@pytest.mark.parametrize("stride", [0, 9])
def test_latents_have_as_many_strides_as_frames_have(stride):
    with pytest.raises(InputError, match=f"Frame stride {stride} leaves fewer than 5 of 33 frames; 1 to 8 are allowed"):
        sparse_latents(33, stride)
