"""Does a clip show what its prompt says, and the same from frame to frame: in the eyes of a CLIP that the user has.

No weights are fetched; the embeddings come from outside. A clip that stands still scores best on consistency, so read
it beside the speed. Figures of different CLIP models do not compare.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cosine_similarity

from ..errors import InputError

NAMES = ("clip_text_alignment", "clip_frame_consistency", "background_consistency")


def clip_scores(frames: torch.Tensor, text: torch.Tensor | None = None) -> dict[str, float | None]:
    """Figures of a clip's frame embeddings (T,D), and of its prompt's (1,D) or (D,), each -1..1.

    Returns:
        clip_text_alignment: mean cosine of the frames with the prompt, None without one; clip_frame_consistency: of
        neighbouring frames; background_consistency: VBench's (arXiv 2311.17982), each frame with the one before it and
        with the first, below 0 counted as 0. Both None for a single frame.
    Raises:
        InputError: the prompt is of another embedding space.
    """
    frames = frames.float()
    scores: dict[str, float | None] = dict.fromkeys(NAMES)
    if text is not None:
        text = text.float().reshape(-1, text.shape[-1])[:1]
        if text.shape[-1] != frames.shape[-1]:
            raise InputError(
                f"The text has an embedding of {text.shape[-1]} numbers and the frames of {frames.shape[-1]}; text and "
                "vision of one CLIP are needed. Load both from the same model (clip_l beside CLIP-ViT-L, for one)."
            )
        scores["clip_text_alignment"] = cosine_similarity(frames, text.to(frames.device)).mean().item()
    if len(frames) > 1:
        neighbours = cosine_similarity(frames[1:], frames[:-1])
        first = cosine_similarity(frames[1:], frames[:1])
        scores["clip_frame_consistency"] = neighbours.mean().item()
        scores["background_consistency"] = ((neighbours.clamp(min=0) + first.clamp(min=0)) / 2).mean().item()
    return scores
