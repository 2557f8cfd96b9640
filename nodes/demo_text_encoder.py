"""Demo Text Encoder: the demo model's closed vocabulary as a CLIP that the stock text nodes take."""

import logging
from typing import ClassVar

import comfy.sd
import torch
from comfy.sd1_clip import ClipTokenWeightEncoder, escape_important, token_weights, unescape_important
from comfy.supported_models_base import ClipTarget
from comfy_api.latest import io

from ..vmt.demo import vocabulary
from .host.node_text import show_on_node

NAME = "vmt_demo"  # the key of these tokens among those of other text encoders
END = vocabulary.tokenize("")[0][0]


class DemoTokenizer:
    """Words to (number, weight) pairs, in the structure of the host's own tokenizers."""

    def __init__(self, embedding_directory=None, tokenizer_data=None):
        pass

    def tokenize_with_weights(self, text: str, return_word_ids: bool = False, **kwargs) -> dict[str, list[list[tuple]]]:
        pairs, unknown = [], []
        for part, weight in token_weights(escape_important(text), 1.0):
            numbers, missing = vocabulary.tokenize(unescape_important(part))
            pairs += [(number, weight) for number in numbers if number != END]
            unknown += missing
        pairs = pairs[: vocabulary.NUM_TOKENS - 1]
        pairs += [(END, 1.0)] * (vocabulary.NUM_TOKENS - len(pairs))
        if unknown:
            _warn(unknown)
        if return_word_ids:
            pairs = [(number, weight, place + 1) for place, (number, weight) in enumerate(pairs)]
        return {NAME: [pairs]}

    def state_dict(self) -> dict:
        return {}


class DemoTextModel(torch.nn.Module, ClipTokenWeightEncoder):
    """Numbers to fixed vectors. Nothing is learned, so there is nothing to load, offload or patch."""

    disable_offload = True
    special_tokens: ClassVar = {"end": END}

    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__()
        self.dtypes = {torch.float32}

    def gen_empty_tokens(self, special_tokens, length: int) -> list[int]:
        return [END] * length

    def encode(self, tokens: list[list[int]]):
        """Conditioning (sections, 16, 4096) float32, and no pooled output, as Wan's text encoder."""
        return vocabulary.embed(torch.tensor(tokens)), None

    def encode_token_weights(self, token_weight_pairs: dict[str, list[list[tuple]]]):
        return super().encode_token_weights(token_weight_pairs[NAME])

    def set_clip_options(self, options: dict) -> None:
        pass

    def reset_clip_options(self) -> None:
        pass

    def load_sd(self, sd: dict):
        return [], list(sd)


def _warn(unknown: list[str]) -> None:
    known = "; ".join(f"{group}: {', '.join(words)}" for group, words in vocabulary.KNOWN_WORDS.items())
    text = f"The demo model does not know: {', '.join(dict.fromkeys(unknown))}. It knows {known}."
    logging.warning("Demo Text Encoder: %s", text)
    show_on_node(text)


class DemoTextEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        known = " ".join(
            f"{group.capitalize()}: {', '.join(words)}." for group, words in vocabulary.KNOWN_WORDS.items()
        )
        return io.Schema(
            node_id="VMT_DemoTextEncoder",
            display_name="Demo Text Encoder",
            category="VMT",
            description=f"The text encoder of the demo model, for CLIP Text Encode. It knows these words only. {known}",
            inputs=[],
            outputs=[io.Clip.Output(display_name="clip", tooltip="For CLIP Text Encode, with the demo model only.")],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(comfy.sd.CLIP(ClipTarget(DemoTokenizer, DemoTextModel)))
