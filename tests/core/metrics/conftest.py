"""Rendered clips as references, clean and spoiled."""

from random import Random

import cv2
import numpy as np
import pytest

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
    """48 held-out single-thing clips of 9 frames."""
    return [render(sample_scene(Random(f"judged {i}"), "single", num_frames=9, held_out=True)) for i in range(48)]
