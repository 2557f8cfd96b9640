"""Decoupled-LoRA Tuner with sparse motion sampling as published: of video frames, before the VAE, at whole size."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"half_steps": 0, "temporal_steps": 400, "sigma_end": 0.0, "sparse": "frames"}
METHOD = Method("decoupled_lora_whole_size, thinned out before the VAE, as published", tuned(**OPTIONS), tunes=True)
