"""Rendered clips as references, clean and spoiled."""

from random import Random

import cv2
import numpy as np
import pytest

from vmt.metrics.centroid import object_mask
from vmt.synthetic import render, sample_scene


@pytest.fixture(scope="session")
def spoil():
    """Blur of a pixel and noise of 30 dB, as a stand-in for what a VAE does to frames; numpy (T,H,W,3)."""

    def make(frames, seed, blur=0.7, noise=0.03):
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), blur) for frame in frames.numpy()])
        grain = np.random.default_rng(seed).normal(0, 1, frames.shape).astype(np.float32)
        grain = np.stack([cv2.GaussianBlur(frame, (0, 0), 0.8) for frame in grain])
        return (frames + noise * grain / grain.std()).clip(0, 1).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def held_out_clips():
    """32 held-out single-thing clips of 9 frames."""
    return [render(sample_scene(Random(f"judged {i}"), "single", num_frames=9, held_out=True)) for i in range(32)]


@pytest.fixture(scope="session")
def measured(held_out_clips, spoil):
    """Of each clip, clean and of every second one spoiled: frames (9,128,128,3) and object mask (9,128,128)."""
    clean = [(clip, clip.frames.numpy()) for clip in held_out_clips]
    spoiled = [(clip, spoil(clip.frames, i)) for i, clip in enumerate(held_out_clips[::2])]
    return {name: [(clip, frames, object_mask(frames)) for clip, frames in some]
            for name, some in (("clean", clean), ("spoiled", spoiled))}  # fmt: skip
