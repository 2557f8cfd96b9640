import torch

from vmt.demo.reference_clip import reference_scene, write_reference
from vmt.video import read_video


def test_the_clip_is_the_same_each_time_and_moves(tmp_path):
    first = write_reference(tmp_path / "a.mp4")
    frames, fps = read_video(first)
    assert frames.shape == (33, 128, 128, 3) and fps == 16
    assert first.read_bytes() == write_reference(tmp_path / "b.mp4").read_bytes()
    assert (frames[1:] - frames[:-1]).abs().amax((1, 2, 3)).median() > 0.2
    assert torch.isfinite(frames).all()


def test_its_motion_is_plain_to_see():
    scene = reference_scene()
    path = scene.objects[0].centre
    assert scene.objects[0].motion == "bounce" and scene.ground.texture == "plain"
    assert (path.amax(0) - path.amin(0)).min() >= 45
