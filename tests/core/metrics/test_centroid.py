from random import Random

import numpy as np
import pytest
import torch

from vmt.errors import InputError
from vmt.metrics.centroid import mask_track, object_mask, object_track
from vmt.metrics.components import areas
from vmt.synthetic import render, sample_scene


def errors(measured):
    """Distance of the measured path to the true one, all frames of all clips; every frame must show the thing."""
    found = []
    for clip, _, mask in measured:
        track, visible = mask_track(mask)
        assert visible.all() and track.shape == (9, 2) and track.dtype == torch.float32
        found.append((track - clip.tracks_px[0]).norm(dim=-1))
    return torch.cat(found)


def test_drawn_paths_are_found_to_a_fraction_of_a_pixel(measured):
    error = errors(measured["clean"])  # measured on 200 clips: median 0.055, largest 0.54
    assert error.median() < 0.1 and error.max() < 1


def test_blur_and_noise_hardly_matter(measured):
    error = errors(measured["spoiled"])  # measured on 200 clips: median 0.073, largest 0.42
    assert error.median() < 0.15 and error.max() < 1


def test_mask_is_the_thing(measured):
    for kind, least in (("clean", 0.85), ("spoiled", 0.8)):
        for clip, _, mask in measured[kind]:
            mask, true = torch.from_numpy(mask), clip.masks[0] > 0.5
            assert (mask & true).sum() / (mask | true).sum() > least


def test_colour_picks_a_thing_among_several():
    rng, picked = Random(4), 0
    for _ in range(6):
        clip = render(sample_scene(rng, "several", num_frames=5))
        things = clip.scene.objects
        for index, thing in enumerate(things):
            if [other.colour for other in things].count(thing.colour) > 1 or clip.masks[index].sum((1, 2)).min() < 250:
                continue
            track, visible = object_track(clip.frames, thing.colour)
            true = clip.masks[index]
            rows, cols = torch.arange(128.0), torch.arange(128.0)
            centre = (
                torch.stack([(true.sum(2) * rows).sum(1), (true.sum(1) * cols).sum(1)], -1) / true.sum((1, 2))[:, None]
            )
            assert visible.all() and (track - centre).norm(dim=-1).max() < 1.5
            picked += 1
        together = object_mask(clip.frames).sum()
        assert together > 0.8 * (clip.masks.sum(0) > 0.5).sum()
    assert picked >= 6


def test_missing_frames_are_bridged(held_out_clips):
    clip = held_out_clips[0]
    ground = clip.frames[:, :1, :1].median().expand_as(clip.frames)
    frames = torch.where(torch.tensor([0, 1, 0, 0, 1, 1, 0, 0, 1]).bool()[:, None, None, None], ground * 0, clip.frames)
    frames = torch.where(frames == 0, clip.frames[0, 0, 0], frames)
    track, visible = object_track(frames)
    assert visible.tolist() == [True, False, True, True, False, False, True, True, False]
    torch.testing.assert_close(track[1], (track[0] + track[2]) / 2)
    torch.testing.assert_close(track[4], track[3] + (track[6] - track[3]) / 3)
    assert torch.equal(track[8], track[7])


def test_empty_clip_has_its_middle_and_nothing_visible():
    clip = render(sample_scene(Random(2), "camera", num_frames=5))
    track, visible = object_track(clip.frames)
    assert not visible.any() and torch.equal(track, torch.full((5, 2), 63.5))


def test_largest_area_counts_and_specks_do_not():
    mask = np.zeros((1, 60, 60), bool)
    mask[0, 10:20, 10:20] = mask[0, 40:45, 40:45] = True
    assert mask_track(mask)[0].tolist() == [[14.5, 14.5]]
    frames = torch.full((1, 128, 128, 3), 0.08)
    frames[0, 3:6, 3:6] = torch.tensor([0.95, 0.95, 0.95])
    assert not object_mask(frames).any()


def test_salt_in_a_thing_and_threads_between_things_do_not_count(held_out_clips):
    frames = torch.full((1, 128, 128, 3), 0.08)
    for row in (30, 80):
        frames[0, row : row + 20, 40:60] = torch.tensor([0.84, 0.16, 0.16])
    frames[0, 50:80, 50] = torch.tensor([0.84, 0.16, 0.16])
    frames[0, 35:45:3, 45:55:3] = 0.08
    mask = object_mask(frames)
    assert len(areas(mask[0])[1]) == 2 and mask[0, 32:48, 42:58].all() and mask[0, 82:98, 42:58].all()


def test_tensor_and_array_give_the_same(held_out_clips):
    frames = held_out_clips[3].frames
    assert torch.equal(object_track(frames)[0], object_track(frames.numpy())[0])
    assert torch.equal(object_track(frames)[0], object_track(frames.double())[0])


def test_bad_input_is_refused(held_out_clips):
    with pytest.raises(InputError, match="'teal'; red, orange"):
        object_mask(held_out_clips[0].frames, "teal")
    with pytest.raises(InputError, match=r"\(T,H,W,3\)"):
        object_track(held_out_clips[0].frames[0])
