"""Control: the prompt's things drawn along the reference's motion, through the VAE. What a perfect transfer scores."""

from .method import Method
from .vae_round_trip import graph

METHOD = Method(
    "what the prompt names, drawn along the reference's motion: a perfect transfer", graph, perfect=True, control=True
)
