"""Decoupled-LoRA Tuner on each reference: the motion LoRA, and the clip's latent flow beside it."""

from ...demo.tuned_graph import tuned
from .method import Method

METHOD = Method("a motion LoRA tuned on the reference, whose latent flow guides beside it", tuned(), tunes=True)
