"""What names a tuning run, so that it goes on from its own checkpoint and from no other."""

import hashlib

from torch import Tensor

from ...vmt.lora.head_roles import HeadRoles
from ...vmt.lora.presets import TunerConfig
from .noisy_lora import told
from .tuning_clips import Clips
from .tuning_pass import TuningPass

MARKING = ("self_attn.q.weight", "ffn.0.weight")  # what was merged into a checkpoint has changed one of them
SAMPLED = 4096  # values of a tensor


def run_key(
    model: TuningPass, clips: Clips, captions: list[list], config: TunerConfig, seed: int, roles: HeadRoles
) -> str:  # fmt: skip
    """Names all that a run depends on: clips, captions, settings, heads, the model by some weights, its LoRAs."""
    patcher, texts = model.guider.model_patcher, [text for caption in captions for text, _ in caption]
    beside = [_told(more) for caption in captions for _, more in caption]
    rope = _told((model.options.get("transformer_options") or {}).get("rope_options"))  # of the stock node ScaleROPE
    norms = [block.self_attn.norm_q.weight for block in model.model.diffusion_model.blocks]  # no LoRA changes them
    held = patcher.get_key_patches("diffusion_model.")  # first of each the weight without LoRAs, loaded or not
    weights = [_few(patches[0][0]) for name, patches in held.items() if name.endswith(MARKING)]
    loras = {name: _told(patches) for name, patches in sorted(patcher.patches.items())}
    noisy = [([*map(_told, tensors.values())], *rest) for tensors, *rest in told(patcher)]
    latents = (clips.reference, *clips.sparse, *clips.whole, *clips.stills)
    hashed = _hash(*latents, *texts, *norms, *weights, roles.temporal)
    where = f"{clips.frames_sha256} {clips.scale_t} {rope}"
    return hashlib.sha256(f"{hashed} {where} {beside} {loras} {noisy} {config} {seed}".encode()).hexdigest()


def _hash(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _few(tensor: Tensor) -> Tensor:
    """(n,) some thousand values, evenly spread: they tell two large tensors apart."""
    return tensor.detach().flatten()[:: max(1, tensor.numel() // SAMPLED)]


def _told(held) -> str:
    """What the host holds, the same in every process: numbers as they are, tensors by some values, others by type."""
    if isinstance(held, Tensor):
        return _hash(_few(held))
    if isinstance(held, list | tuple):
        return f"({', '.join(map(_told, held))})"
    if isinstance(held, dict):
        return f"{{{', '.join(sorted(f'{key}: {_told(value)}' for key, value in held.items()))}}}"
    if hasattr(held, "weights"):  # an adapter
        return _told(held.weights)
    return repr(held) if isinstance(held, str | int | float | None) else type(held).__name__
