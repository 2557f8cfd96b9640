import io
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from vmt.errors import InputError
from vmt.video import FramesSource, ReferenceConfig, load_reference, open_source

ALL = ReferenceConfig(frames=0, fps=0)


def config(**changes):
    return ReferenceConfig(**{"frames": 0, "fps": 0.0, **changes})


def nearest(times, start, fps, count):
    """The oracle: whole search for each wanted time."""
    times = np.asarray(times)
    first = times[np.argmin(np.abs(times - start))]
    return [int(np.argmin(np.abs(times - first - index / fps))) for index in range(count)]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {}),
        ("a.mkv", {"codec": "ffv1"}),
        ("ten_bit.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le"}),
        ("ten_bit.mp4", {"codec": "libx264", "pix_fmt": "yuv422p10le"}),
        ("hevc.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
        ("vp8.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "2M"}}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"crf": "10", "b": "0"}}),
        ("mpeg4.avi", {"codec": "mpeg4", "options": {"qscale": "2", "flags": "+qscale"}}),
        ("reordered.avi", {"codec": "libx264", "options": {"bf": "3"}}),
        ("prores.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
        ("a.ts", {"codec": "libx264"}),
        ("open_gop.mp4", {"codec": "libx264", "options": {"bf": "3", "g": "10", "x264-params": "open-gop=1"}}),
        ("a.gif", {"codec": "gif", "pix_fmt": "gray", "fps": 25}),
        ("a.apng", {"codec": "apng", "pix_fmt": "rgb24"}),
        ("bare.h264", {"codec": "libx264", "container": "h264", "fps": 25}),
    ],
)
def test_every_frame_of_every_container_comes_out_in_order(clips, tmp_path, name, how):
    clip = load_reference(clips.write_numbered(tmp_path / name, 37, **{"options": {"crf": "10"}, **how}), ALL)
    assert clip.frames.shape == (37, 48, 64, 3) and clip.frames.dtype == torch.float32
    assert clips.numbers_of(clip.frames) == list(range(37))
    assert clip.fps == pytest.approx(how.get("fps", 30), rel=0.005)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.ts", "reordered.avi"])
@pytest.mark.parametrize("start", [0.0, 0.5, 2.0, 3.34, 5.2])
def test_start_takes_exactly_the_frames_from_there_on(clips, tmp_path, name, start):
    codec = "libvpx" if name.endswith("webm") else "libx264"
    path = clips.write_numbered(tmp_path / name, 180, codec=codec, options={"g": "40", "crf": "10", "b": "2M"})
    clip = load_reference(path, config(start=start, frames=9))
    assert clips.numbers_of(clip.frames) == nearest(np.arange(180) / 30, start, 30, 9)


@pytest.mark.parametrize(
    ("source_fps", "fps"), [(30, 16), (24, 16), (Fraction(30000, 1001), 16), (60, 12), (8, 16), (25, 24)]
)
def test_other_rates_take_the_nearest_frames(clips, tmp_path, source_fps, fps):
    path = clips.write_numbered(tmp_path / "a.mp4", 72, fps=source_fps, options={"crf": "10"})
    clip = load_reference(path, config(fps=fps, frames=17))
    times = np.arange(72) / float(source_fps)
    taken = clips.numbers_of(clip.frames)
    assert clip.fps == fps and len(taken) in (13, 17)
    for index, number in enumerate(taken):  # a tie may go either way by rounding of timestamps
        assert abs(times[number] - index / fps) <= np.abs(times - index / fps).min() + 1e-4
    assert ("frames repeat" in clip.report) == (fps > source_fps)


def uneven_pts(count):
    """Milliseconds with pauses and bursts, as screen recorders write."""
    steps = np.random.default_rng(3).choice([9, 20, 35, 80, 150], count - 1)
    return [0, *np.cumsum(steps).tolist()]


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
@pytest.mark.parametrize(("start", "fps"), [(0.0, 16.0), (1.3, 10.0), (0.7, 25.0), (0.0, 0.0)])
def test_variable_frame_rate_is_resampled_by_real_timestamps(clips, tmp_path, name, start, fps):
    pts = uneven_pts(90)
    path = clips.write_numbered(
        tmp_path / name, 90, pts=pts, time_base=Fraction(1, 1000), options={"crf": "10", "g": "12"}
    )
    clip = load_reference(path, config(start=start, fps=fps, frames=21))
    times = np.array(pts) / 1000
    first = times[np.argmin(np.abs(times - start))]
    for index, number in enumerate(clips.numbers_of(clip.frames)):
        wanted = first + index / clip.fps
        assert abs(times[number] - wanted) <= np.abs(times - wanted).min() + 2e-3
    assert "variable" in clip.report


def test_a_long_video_is_sought_not_decoded(clips, tmp_path, monkeypatch):
    path = clips.write_numbered(tmp_path / "long.mp4", 6000, options={"preset": "ultrafast", "crf": "12", "g": "60"})
    source = open_source(path)
    pulled = []
    decode = source._decode
    monkeypatch.setattr(source, "_decode", lambda packet: pulled.extend(frames := decode(packet)) or frames)
    clip = load_reference(source, config(start=150.0, frames=33, fps=15.0))
    assert clips.numbers_of(clip.frames) == list(range(4500, 4500 + 66, 2))
    assert len(pulled) < 66 + 60 + 30 + 32  # wanted span, one keyframe distance, the seek margin, frames in flight
    assert len(load_reference(path, ALL).frames) == 257


def corner_clip(clips, path, **how):
    """96x64, one bright corner at the stored top left."""
    image = np.full((64, 96, 3), 40, np.uint8)
    image[:16, :24] = 220
    return clips.write(path, [image] * 9, **how)


@pytest.mark.parametrize(
    ("matrix", "shape", "bright"),
    [
        ((1, 0, 0, 1), (64, 96), (0, 0)),
        ((0, 1, -1, 0), (96, 64), (0, -1)),  # a quarter turn clockwise, as phones held upright write it
        ((-1, 0, 0, -1), (64, 96), (-1, -1)),
        ((0, -1, 1, 0), (96, 64), (-1, 0)),
        ((-1, 0, 0, 1), (64, 96), (0, -1)),  # mirrored, as front cameras write it
    ],
)
def test_rotation_flags_are_applied(clips, tmp_path, matrix, shape, bright):
    m0, m1, m3, m4 = (65536 * value for value in matrix)
    path = corner_clip(clips, tmp_path / "turned.mov", display_matrix=[m0, m1, 0, m3, m4, 0, 0, 0, 2**30])
    clip = load_reference(path, ALL)
    assert clip.frames.shape[1:3] == shape
    corners = {(row, column): float(clip.frames[4, row, column].mean()) for row in (0, -1) for column in (0, -1)}
    assert max(corners, key=corners.get) == bright and corners[bright] > 0.8


def test_pixel_aspect_widens_the_picture(clips, tmp_path):
    clip = load_reference(corner_clip(clips, tmp_path / "wide.mkv", pixel_aspect=Fraction(2, 1)), ALL)
    assert clip.frames.shape == (9, 64, 192, 3)


def test_odd_sizes_fit_the_grid(clips, tmp_path):
    path = clips.write_numbered(tmp_path / "odd.mkv", 9, 101, 67, codec="ffv1", pix_fmt="yuv444p")
    clip = load_reference(path, ALL)
    assert clip.frames.shape == (9, 64, 96, 3) and clips.numbers_of(clip.frames) == list(range(9))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("alpha.mov", {"codec": "qtrle", "pix_fmt": "argb"}),
        ("alpha.apng", {"codec": "apng", "pix_fmt": "rgba"}),
        ("alpha.mkv", {"codec": "ffv1", "pix_fmt": "yuva444p"}),
    ],
)
def test_alpha_is_laid_over_black_and_said(clips, tmp_path, name, how):
    image = np.full((48, 64, 4), 200, np.uint8)
    image[..., 3] = np.repeat([0, 128, 255, 255], 16)[None]
    clip = load_reference(clips.write(tmp_path / name, [image] * 9, layout="rgba", **how), ALL)
    columns = clip.frames[3, 24, [5, 24, 40, 60]].mean(-1) * 255
    assert torch.allclose(columns, torch.tensor([0.0, 100.0, 200.0, 200.0]), atol=2)
    assert "transparent parts are shown over black" in clip.report


def test_opaque_alpha_is_not_mentioned(clips, tmp_path):
    path = clips.write_numbered(tmp_path / "a.apng", 9, codec="apng", pix_fmt="rgba")
    assert "transparent" not in load_reference(path, ALL).report


def test_animated_webp(clips, tmp_path):
    images = [Image.fromarray(clips.numbered(index)) for index in range(20)]
    path = tmp_path / "a.webp"
    images[0].save(path, save_all=True, append_images=images[1:], duration=40, lossless=True)
    clip = load_reference(path, config(start=0.2, frames=13))
    assert clips.numbers_of(clip.frames) == list(range(5, 18)) and clip.fps == pytest.approx(25)


def test_bytes_work_as_a_file_does(clips, tmp_path):
    path = clips.write_numbered(tmp_path / "a.mp4", 60, options={"g": "10"})
    from_bytes = load_reference(io.BytesIO(path.read_bytes()), config(start=1.2, frames=9))
    assert torch.equal(from_bytes.frames, load_reference(path, config(start=1.2, frames=9)).frames)


def test_frames_in_memory_keep_their_values(clips):
    frames = torch.rand(40, 64, 96, 3, generator=torch.Generator().manual_seed(1))
    clip = load_reference(FramesSource(frames, 24.0), config(start=0.5, frames=12))
    assert torch.equal(clip.frames, frames[12:21]) and clip.fps == 24.0
    half = load_reference(FramesSource(frames, 24.0), config(fps=12.0))
    assert torch.equal(half.frames, frames[::2][:17])


def test_an_outer_cut_ends_the_clip(clips, tmp_path):
    path = clips.write_numbered(tmp_path / "a.mp4", 90)
    clip = load_reference(path, config(start=1.0), max_seconds=0.5)
    assert clips.numbers_of(clip.frames) == list(range(30, 43)) and "cut off" not in clip.report


def test_an_edit_list_ends_the_clip(clips, tmp_path):
    """As phones and QuickTime trim: all frames stay in the file, and its edit list tells how much of them to show."""
    path = clips.write_numbered(tmp_path / "a.mp4", 60)
    whole = bytearray(path.read_bytes())
    duration = whole.find(b"elst") + 12  # in milliseconds, after version, flags and the number of edits
    assert int.from_bytes(whole[duration : duration + 4], "big") == 2000
    whole[duration : duration + 4] = (1000).to_bytes(4, "big")
    path.write_bytes(whole)
    clip = load_reference(path, config())
    assert clips.numbers_of(clip.frames) == list(range(29)) and "30 frames became 29" in clip.report
    assert "cut off" not in clip.report


def test_report_says_what_was_changed(clips, tmp_path):
    path = clips.write_numbered(tmp_path / "a.mp4", 60)
    report = load_reference(path, config(frames=80, width=100, height=60)).report
    assert "57 frames" in report and "asked 80 frames, the video has 60" in report
    assert "60 frames became 57 (4n+1)" in report and "100x60 became 96x64" in report
    assert "became" not in load_reference(path, config(frames=57)).report


def test_progress_is_told_and_may_end_the_loading(clips, tmp_path):
    path, told = clips.write_numbered(tmp_path / "a.mp4", 30), []
    load_reference(path, config(frames=9), on_frame=lambda *progress: told.append(progress))
    assert told == [(index, 9) for index in range(1, 10)]

    class Cancelled(Exception):
        pass

    def cancel(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        load_reference(path, config(frames=9), on_frame=cancel)


def test_too_much_memory_is_refused_before_decoding(clips, tmp_path, monkeypatch):
    source = open_source(clips.write_numbered(tmp_path / "a.mp4", 30))
    monkeypatch.setattr(source, "frames_from", lambda start: pytest.fail("decoded"))
    with pytest.raises(InputError, match=r"25 frames of 1024x1024 need 0\.3 GB.*0\.1 GB may be used.*fewer frames"):
        load_reference(source, config(frames=25, width=1024, height=1024), max_bytes=2**27)


def test_a_cut_off_file_gives_what_is_there_and_says_so(clips, tmp_path):
    whole = clips.write_numbered(
        tmp_path / "whole.mp4", 120, options={"g": "10", "crf": "8"}, mux_options={"movflags": "faststart"}
    ).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    clip = load_reference(cut, config(frames=0))
    assert 5 <= len(clip.frames) < 120
    numbers = clips.numbers_of(clip.frames)
    assert numbers[:-4] == list(range(len(numbers) - 4))
    # Frames are stored out of order, so some just before the cut may be lost; a neighbour stands in.
    assert all(abs(number - index) <= 2 for index, number in enumerate(numbers))
    assert "cut off" in clip.report


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": -1.0}, r"Start is -1 s; 0 or more"),
        ({"start": float("nan")}, r"Start is nan s; 0 or more"),
        ({"frames": 4}, r"Frames is 4; 5 to 1025 \(4n\+1\), or 0 for all"),
        ({"frames": -5}, "Frames is -5"),
        ({"frames": 4000}, "Frames is 4000"),
        ({"fps": 0.2}, r"Fps is 0\.2; 1 to 240, or 0"),
        ({"fps": float("inf")}, "Fps is inf"),
        ({"fit": "zoom"}, "Fit is 'zoom'; one of crop, pad, stretch"),
        ({"width": 8}, "Width is 8 pixels; 32 to 4096"),
    ],
)
def test_nonsense_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        load_reference(FramesSource(torch.zeros(9, 32, 32, 3), 8.0), config(**changes))


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (9, 8, 8, 1), (8, 8, 3)])
def test_frames_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"frames of shape .*\(frames, height, width, 3\) is allowed"):
        FramesSource(torch.zeros(shape), 8.0)


def as_many_frames_as_are_decoded(load):
    """A clip of 4(F-1)+1 frames has F latent frames, which are decoded to as many; if it was cut, that is said."""
    frames, said = load(32)
    latent_frames = (len(frames) - 1) // 4 + 1
    assert 4 * (latent_frames - 1) + 1 == len(frames)
    assert len(frames) == 32 or str(len(frames)) in said


def test_frames_that_vanish_in_the_video_would_be_noticed(clips, tmp_path):
    """As in a public release of FastVMT, which takes 32 frames and decodes 29."""
    path = clips.write_numbered(tmp_path / "a.mp4", 40)

    def ours(frames):
        clip = load_reference(path, config(frames=frames))
        return clip.frames, clip.report

    def released(frames):
        return torch.zeros(frames, 16, 16, 3), ""

    as_many_frames_as_are_decoded(ours)
    with pytest.raises(AssertionError):
        as_many_frames_as_are_decoded(released)
