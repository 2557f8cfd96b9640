"""Decoupled-LoRA Tuner with sparse motion sampling as published: of video frames, before the VAE, at whole size."""

from ...demo.tuned_graph import lora_alone
from . import decoupled_lora_whole_size
from .method import Method

OPTIONS = {**decoupled_lora_whole_size.OPTIONS, "sparse": "frames"}
METHOD = Method(
    "decoupled_lora_whole_size, thinned out before the VAE, as published", lora_alone(**OPTIONS), tunes=True
)
