import io
from random import Random

import pytest
import torch

from vmt.errors import InputError
from vmt.synthetic.render import render
from vmt.synthetic.sample import sample_scene
from vmt.video import read_video, write_video


def scene(frames=12, height=64, width=96):
    """A smooth colour field with a moving disc: nothing that chroma subsampling alone would spoil."""
    row = torch.linspace(0, 1, height)[:, None].expand(height, width)
    column = torch.linspace(0, 1, width)[None].expand(height, width)
    images = []
    for index in range(frames):
        disc = torch.sigmoid(40 * (0.04 - (row - 0.5) ** 2 - (column - 0.1 - 0.06 * index) ** 2))
        images.append(torch.stack([0.2 + 0.5 * disc, 0.3 + 0.3 * row, 0.6 - 0.4 * column], -1))
    return torch.stack(images)


def psnr(a, b):
    return float(-10 * torch.log10(((a - b) ** 2).mean()))


@pytest.mark.parametrize("size", [(64, 96), (720, 416)])
def test_what_is_written_is_read_again(tmp_path, size):
    frames = scene(5, *size)
    write_video(tmp_path / "a.mp4", frames, 16)
    again, fps = read_video(tmp_path / "a.mp4")
    assert again.shape == frames.shape and fps == 16.0
    assert psnr(again, frames) > 40  # measured 43 to 47; a wrong colour matrix gives less than 32
    assert (again.mean((0, 1, 2)) - frames.mean((0, 1, 2))).abs().max() < 0.01


@pytest.mark.parametrize("fps", [8, 23.976, 29.97, 12.5])
def test_rate_survives(tmp_path, fps):
    write_video(tmp_path / "a.mp4", scene(9), fps)
    assert read_video(tmp_path / "a.mp4")[1] == pytest.approx(fps, abs=1e-3)


def test_frames_may_come_one_by_one_and_go_to_memory():
    memory = io.BytesIO()
    write_video(memory, (frame for frame in scene(6)), 8)
    memory.seek(0)
    assert read_video(memory)[0].shape == (6, 64, 96, 3)


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        ([], 8, "no frames to write; at least one"),
        (torch.zeros(5, 63, 64, 3), 8, "64x63 pixels; H.264 needs even sizes"),
        (torch.zeros(5, 64, 64, 3), 0, "fps is 0; it must be above 0"),
        ([torch.zeros(64, 64, 3), torch.zeros(64, 48, 3)], 8, r"Frame 1 has shape \(64, 48, 3\); all must be"),
    ],
)
def test_write_refuses(tmp_path, frames, fps, message):
    with pytest.raises(InputError, match=message):
        write_video(tmp_path / "a.mp4", frames, fps)


def test_read_stops_at_a_limit(tmp_path):
    write_video(tmp_path / "a.mp4", scene(12), 8)
    with pytest.raises(InputError, match="more than 10 frames"):
        read_video(tmp_path / "a.mp4", max_frames=10)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_clip_is_always_encoded_alike(seed):
    """What a host is given must not differ from run to run; of small noisy clips x264's default makes two versions."""
    generator = torch.Generator().manual_seed(seed)
    clip = render(sample_scene(Random(seed), "single")).frames[:29:2][:9, :, :94]
    clip = torch.nn.functional.interpolate(clip.movedim(-1, 1), (64, 64), mode="bilinear", antialias=True).movedim(
        1, -1
    )
    clip = (clip + 0.02 * torch.randn(clip.shape, generator=generator)).clamp(0, 1)
    files = set()
    for _ in range(20):
        file = io.BytesIO()
        write_video(file, clip, 16)
        files.add(file.getvalue())
    assert len(files) == 1
