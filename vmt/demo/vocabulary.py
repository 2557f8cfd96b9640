"""The demo model's closed vocabulary: words in, fixed vectors out, nothing learned.

A word's vector is a random sign pattern read from SHAKE-256 of the word, so it is the same on every machine and in
every version of every library. Wan's cross-attention knows no word order; a token therefore also carries half of the
word before it (which binds a colour to its shape) and a trace of its place in the sentence.
"""

from __future__ import annotations

import functools
import hashlib
import re

import torch

COLOURS = {
    "red": (214, 40, 40),
    "orange": (242, 140, 26),
    "yellow": (240, 222, 50),
    "green": (62, 178, 62),
    "blue": (48, 92, 230),
    "purple": (158, 58, 200),
    "white": (242, 242, 242),
}
GROUNDS = {
    "black": (20, 20, 22),
    "grey": (112, 112, 112),
    "brown": (110, 74, 42),
    "teal": (26, 108, 104),
    "navy": (26, 34, 92),
}
SHAPES = ("circle", "square", "triangle", "star", "cross")
TEXTURES = ("plain", "tiled", "striped", "spotted")
FIGURE = "figure"
JOINING = ("and", "ground")
IGNORED = ("a", "an", "the", "on", "over", "in", "with", "of", "at", "it")

KNOWN_WORDS = {
    "colours": tuple(COLOURS),
    "things": (*SHAPES, FIGURE),
    "ground textures": TEXTURES,
    "ground colours": tuple(GROUNDS),
    "other": JOINING,
}
_ORDER = tuple(word for group in KNOWN_WORDS.values() for word in group)
_END = 0  # the end token, which also pads; word i of _ORDER has number i + 1

NUM_TOKENS = 16
WIDTH = 4096
PREVIOUS_WORD = 0.5
PLACE = 0.25


def word_vector(word: str) -> torch.Tensor:
    """(4096,) float32 of +1 and -1, a function of the word's letters alone."""
    bits = hashlib.shake_256(word.encode("utf-8")).digest(WIDTH // 8)
    unpacked = [(byte >> place) & 1 for byte in bits for place in range(8)]
    return torch.tensor(unpacked, dtype=torch.float32) * 2 - 1


@functools.cache
def _tables() -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of all words, the end token first, and of all places: (words, 4096) and (16, 4096)."""
    words = torch.stack([word_vector("end of text"), *map(word_vector, _ORDER)])
    return words, torch.stack([word_vector(f"place {place}") for place in range(NUM_TOKENS)])


def tokenize(text: str) -> tuple[list[int], list[str]]:
    """Word numbers of a prompt, padded to 16 with the end token, and the words that the vocabulary does not know.

    Articles, prepositions and "on" are skipped; known words beyond the 15th are dropped.
    """
    words = [word for word in re.findall(r"[a-z]+", text.lower()) if word not in IGNORED]
    unknown = [word for word in words if word not in _ORDER]
    numbers = [_ORDER.index(word) + 1 for word in words if word in _ORDER][: NUM_TOKENS - 1]
    return numbers + [_END] * (NUM_TOKENS - len(numbers)), unknown


def embed(numbers: torch.Tensor) -> torch.Tensor:
    """Word numbers (..., 16) int64 to conditioning vectors (..., 16, 4096) float32, on the numbers' device."""
    words, places = (table.to(numbers.device) for table in _tables())
    is_word = (numbers != _END)[..., None]
    previous = torch.cat([torch.full_like(numbers[..., :1], _END), numbers[..., :-1]], -1)
    before = PREVIOUS_WORD * words[previous] * (previous != _END)[..., None]
    return words[numbers] + is_word * (before + PLACE * places)


def encode(text: str) -> tuple[torch.Tensor, list[str]]:
    """The conditioning of a prompt.

    Returns:
        (16, 4096) float32 and the list of unknown words. An empty prompt is all end tokens: the null prompt that the
        model was trained with for classifier-free guidance.
    """
    numbers, unknown = tokenize(text)
    return embed(torch.tensor(numbers)), unknown
