"""Decoupled-LoRA Tuner a little further down in noise: motion learned, and used, at levels of 0.7 and more."""

from ...demo.tuned_graph import tuned
from .method import Method

OPTIONS = {"sigma_end": 0.7}
METHOD = Method("decoupled_lora, learned and used at noise levels down to 0.7", tuned(**OPTIONS), tunes=True)
