"""Decoupled-LoRA Tuner with sparse motion sampling as published: of video frames, before the VAE."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"sparse": "frames"}
METHOD = Method("decoupled_lora, thinned out before the VAE, as published", tuned(**OPTIONS), tunes=True)
