"""Plain LoRA with the clip's latent flow beside it."""

from ...demo.tuned_graph import tuned
from . import plain_lora
from .method import Method

METHOD = Method("plain_lora, the reference's latent flow guiding beside it", tuned(**plain_lora.OPTIONS), tunes=True)
