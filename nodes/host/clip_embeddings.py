"""Embeddings of frames and text by the CLIP models that ComfyUI holds."""

import comfy.model_management
import torch

from ...vmt.errors import InputError

BATCH = 16  # frames at once: what an image encoder of the usual sizes takes beside a video model


def embed_frames(clip_vision, frames: torch.Tensor) -> torch.Tensor:
    """(T,D) of frames (T,H,W,3) float 0..1. InputError if the model has no embedding that a text could share."""
    parts = []
    for batch in frames.split(BATCH):
        comfy.model_management.throw_exception_if_processing_interrupted()
        embeds = clip_vision.encode_image(batch)["image_embeds"]
        if embeds is None or embeds.ndim != 2:
            raise InputError(
                "This vision model gives no embedding of a whole picture; a CLIP vision model does. Load one, such as "
                "CLIP-ViT-L or clip_vision_h, with Load CLIP Vision."
            )
        parts.append(embeds)
    return torch.cat(parts)


def embed_text(conditioning) -> torch.Tensor:
    """(1,D) of a CONDITIONING. InputError if its text encoder is no CLIP."""
    pooled = conditioning[0][1].get("pooled_output") if conditioning else None
    if pooled is None:
        raise InputError(
            "This text has no pooled embedding; that of a CLIP text encoder has one. Encode the prompt with the text "
            "encoder of the CLIP vision model (Load CLIP: clip_l, type stable_diffusion; then CLIP Text Encode)."
        )
    return pooled[:1]
