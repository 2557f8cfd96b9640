import hashlib

import pytest
import torch

from vmt.demo import vocabulary as v

WORDS = [word for group in v.KNOWN_WORDS.values() for word in group]


def test_words_are_distinct_and_none_is_ignored():
    assert len(set(WORDS)) == len(WORDS)
    assert not set(WORDS) & set(v.IGNORED)
    assert {*v.COLOURS, *v.GROUNDS, *v.SHAPES, *v.TEXTURES, v.FIGURE} <= set(WORDS)


def test_vectors_are_signs_and_nearly_perpendicular():
    vectors = torch.stack([v.word_vector(word) for word in WORDS])
    assert vectors.shape == (len(WORDS), 4096) and vectors.dtype == torch.float32
    assert vectors.abs().unique().tolist() == [1.0]
    cosine = vectors @ vectors.T / 4096 - torch.eye(len(WORDS))
    assert cosine.abs().max() < 0.08


def test_vectors_are_fixed_for_good():
    """The shipped weights were trained with these very vectors."""
    bits = torch.stack([v.word_vector(word) for word in WORDS]) > 0
    assert hashlib.sha256(bits.numpy().tobytes()).hexdigest() == (
        "d9ac4d9c6444b860e789b19289590726da6283017c3a78dbe973d5fd33d1f25c"
    )
    assert v.tokenize("red circle and figure on plain teal ground")[0][:7] == [1, 8, 23, 13, 14, 21, 24]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a red circle on a plain teal ground", "red circle plain teal ground"),
        ("  RED,circle!!on-the plain  TEAL\nground. ", "red circle plain teal ground"),
        ("an orange cross and a white star", "orange cross and white star"),
        ("", ""),
        ("a the of", ""),
    ],
)
def test_text_becomes_its_words(text, words):
    numbers, unknown = v.tokenize(text)
    expected = [WORDS.index(word) + 1 for word in words.split()]
    assert numbers == expected + [0] * (16 - len(expected)) and unknown == []


def test_unknown_words_are_named_in_order_and_left_out():
    numbers, unknown = v.tokenize("a shiny red circle made of glass, shiny")
    assert unknown == ["shiny", "made", "glass", "shiny"]
    assert numbers == v.tokenize("red circle")[0]


def test_long_prompts_keep_an_end():
    numbers, _ = v.tokenize("red " * 40)
    assert len(numbers) == 16 and numbers[:15] == [1] * 15 and numbers[15] == 0


def test_empty_prompt_is_all_end_tokens():
    context, unknown = v.encode("")
    assert unknown == [] and context.shape == (16, 4096) and context.dtype == torch.float32
    assert torch.equal(context, v.word_vector("end of text").expand(16, 4096))
    assert torch.equal(v.encode("shiny")[0], context)


def test_a_batch_is_encoded_like_its_parts():
    texts = ["a red circle and a blue star on a plain teal ground", "a tiled grey ground", ""]
    numbers = torch.tensor([v.tokenize(text)[0] for text in texts])
    for row, text in zip(v.embed(numbers), texts, strict=True):
        assert torch.equal(row, v.encode(text)[0])


def test_a_token_carries_its_word_the_word_before_it_and_its_place():
    context = v.encode("a red circle on a plain teal ground")[0]

    def share(place, word):
        return (context[place] @ v.word_vector(word) / 4096).item()

    assert share(1, "circle") == pytest.approx(1, abs=0.1)
    assert share(1, "red") == pytest.approx(v.PREVIOUS_WORD, abs=0.1)
    assert share(1, "plain") == pytest.approx(0, abs=0.1)
    assert share(1, "place 1") == pytest.approx(v.PLACE, abs=0.1)
    assert share(0, "end of text") == pytest.approx(0, abs=0.1)


def test_swapped_colours_are_other_tokens():
    """Cross-attention sees a set: the token of a thing must tell which colour stands before it."""
    one = v.encode("a red circle and a blue star")[0]
    other = v.encode("a blue circle and a red star")[0]
    assert torch.cdist(one, other).amin(1)[1] > 20  # the circle of one is nowhere in the other
    assert torch.cdist(one, one).fill_diagonal_(torch.inf).amin(1)[1] > 20
