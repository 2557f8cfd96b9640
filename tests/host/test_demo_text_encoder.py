import logging
from pathlib import Path

import pytest
import torch

CLIP = {"clip": {"class_type": "VMT_DemoTextEncoder", "inputs": {}}}


def encoded(text, link=("clip", 0), **more):
    return {**CLIP, **more, "text": {"class_type": "CLIPTextEncode", "inputs": {"clip": list(link), "text": text}}}


def conditioning(executor, prompt, node="text"):
    ((vectors, extras),) = executor.run(prompt, want={"cond": [node, 0]}).got["cond"]
    return vectors, extras


@pytest.fixture
def vocabulary(host):
    return host.pack("vmt.demo.vocabulary")


@pytest.mark.parametrize("text", ["a red circle on plain grey ground", "blue star and green cross", ""])
def test_stock_text_node_gives_the_vectors_of_the_vocabulary(executor, vocabulary, text):
    vectors, extras = conditioning(executor, encoded(text))
    expected, unknown = vocabulary.encode(text)
    assert not unknown and vectors.shape == (1, 16, 4096) and vectors.dtype == torch.float32
    assert torch.equal(vectors[0], expected)
    assert extras["pooled_output"] is None


def test_a_long_prompt_keeps_its_first_words(executor, vocabulary):
    text = " ".join(["red circle"] * 12)
    vectors, _ = conditioning(executor, encoded(text))
    assert torch.equal(vectors[0], vocabulary.encode(text)[0])


def test_weights_scale_the_difference_to_the_empty_prompt(executor, vocabulary):
    vectors, _ = conditioning(executor, encoded("a (red:1.5) circle (on plain (grey) ground)"))
    plain = vocabulary.encode("a red circle on plain grey ground")[0]
    empty = vocabulary.encode("")[0]
    weights = torch.ones(16)
    weights[:5] = torch.tensor([1.5, 1.0, 1.1, 1.21, 1.1])  # red circle plain grey ground
    assert torch.allclose(vectors[0], empty + weights[:, None] * (plain - empty), atol=1e-5)


@pytest.mark.parametrize(
    "text", ["(((", "(red:", "(red:abc) circle", r"\(red\) circle", "embedding:x", "日本 🎈", "\n"]
)
def test_odd_prompts_run(executor, text):
    assert conditioning(executor, encoded(text))[0].shape == (1, 16, 4096)


def test_unknown_words_are_named_with_the_known_ones_and_shown_on_the_node(executor, vocabulary, caplog):
    with caplog.at_level(logging.WARNING):
        result = executor.run(encoded("a red giraffe dancing in plain grey ground"), want={"cond": ["text", 0]})
    (record,) = [record for record in caplog.records if "does not know" in record.getMessage()]
    message = record.getMessage()
    assert "does not know: giraffe, dancing." in message
    assert all(word in message for group in vocabulary.KNOWN_WORDS.values() for word in group)
    shown = [data for _, data in result.events if isinstance(data, bytes | bytearray) and b"giraffe" in data]
    assert len(shown) == 1 and shown[0][4:8] == b"text"  # the id of the node whose prompt it is
    vectors = result.got["cond"][0][0]
    assert torch.equal(vectors[0], vocabulary.encode("a red in plain grey ground")[0])


def test_known_words_do_not_warn(executor, caplog):
    with caplog.at_level(logging.WARNING):
        conditioning(executor, encoded("a white star on tiled teal ground, it"))
    assert not [record for record in caplog.records if "does not know" in record.getMessage()]


def test_other_stock_nodes_take_it(executor):
    last = {"last": {"class_type": "CLIPSetLastLayer", "inputs": {"clip": ["clip", 0], "stop_at_clip_layer": -2}}}
    plain, _ = conditioning(executor, encoded("a red circle"))
    assert torch.equal(conditioning(executor, encoded("a red circle", ("last", 0), **last))[0], plain)
    prompt = encoded("a red circle")
    prompt["zero"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["text", 0]}}
    prompt["joined"] = {
        "class_type": "ConditioningConcat", "inputs": {"conditioning_to": ["text", 0], "conditioning_from": ["zero", 0]}
    }  # fmt: skip
    vectors, _ = conditioning(executor, prompt, "joined")
    assert torch.equal(vectors[:, :16], plain) and not vectors[:, 16:].any()


def test_clone_is_independent_and_small(executor, host):
    clip = executor.run(CLIP, want={"clip": ["clip", 0]}).got["clip"]
    other = clip.clone()
    other.clip_layer(-3)
    assert clip.layer_idx is None and other.patcher is not clip.patcher
    assert other.add_patches({}) == [] and clip.get_sd() == {}
    with torch.inference_mode():
        assert torch.equal(other.encode("a red circle"), clip.encode("a red circle"))
        other.patcher.unpatch_model()
    assert clip.load_model() is clip.patcher
    assert clip.patcher.model_size() < 2**16


def test_scheduled_encoding_through_hooks(executor, host):
    """Nodes that vary a prompt over the steps use the other of the two ways to encode."""
    import comfy.hooks

    hooks = comfy.hooks.create_hook_lora(lora={}, strength_model=1.0, strength_clip=1.0)
    hooked = {
        "class_type": "SetClipHooks",
        "inputs": {"clip": ["clip", 0], "apply_to_conds": True, "schedule_clip": True, "hooks": ["hooks", 0]},
    }
    prompt = encoded("a red circle", ("hooked", 0), hooked=hooked)
    ((vectors, extras),) = executor.run(prompt, give={"hooks": hooks}, want={"cond": ["text", 0]}).got["cond"]
    assert torch.equal(vectors, conditioning(executor, encoded("a red circle"))[0])
    assert (extras["clip_start_percent"], extras["clip_end_percent"]) == (0.0, 1.0)


def test_help_page_lists_the_words(vocabulary):
    page = (Path(__file__).parents[2] / "web/docs/VMT_DemoTextEncoder.md").read_text(encoding="utf-8")
    for group, words in vocabulary.KNOWN_WORDS.items():
        assert f"| {group} | {', '.join(words)} |" in page
