import io

import numpy as np
import torch
from PIL import Image

from vmt.bench.frame_strip import read_strip, strip


def test_frames_come_back_as_they_were(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), np.uint8)
    files = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "PNG")
        files.append(file.getvalue())
    (tmp_path / "strip.png").write_bytes(strip(files))
    read = read_strip(tmp_path / "strip.png")
    assert read.dtype == torch.float32 and torch.equal((read * 255).round().byte(), torch.from_numpy(frames))
