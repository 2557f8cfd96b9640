"""A CLIP of the usual form, ViT-L and its text encoder, with random weights: nothing can be fetched, and what is tested
is that frames and prompt go through the host's own loaders and encoders."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

VISION, TEXT = "random_clip_vision_l.safetensors", "random_clip_l.safetensors"


def write_clip(models: Path) -> None:
    """Both files under a host's folder of models. Needs ComfyUI imported, as by the `host` fixture."""
    import comfy.clip_model
    import comfy.clip_vision
    import comfy.ops

    tree = Path(comfy.clip_vision.__file__).parent
    vision = comfy.clip_vision.ClipVisionModel(str(tree / "clip_vision_config_vitl.json"))
    config = json.loads((tree / "sd1_clip_config.json").read_text())
    text = comfy.clip_model.CLIPTextModel(config, torch.float16, "cpu", comfy.ops.manual_cast)
    _write(vision.get_sd(), models / "clip_vision" / VISION)
    _write(text.state_dict(), models / "text_encoders" / TEXT)


def _write(form: dict[str, torch.Tensor], file: Path) -> None:
    generator = torch.Generator().manual_seed(1)

    def weight(name: str, shape: torch.Size) -> torch.Tensor:
        if len(shape) > 1:
            return torch.randn(shape, generator=generator) * shape[1:].numel() ** -0.5
        return torch.full(shape, float(name.endswith("norm.weight") or ("layer_norm" in name and "weight" in name)))

    weights = {n: weight(n, tensor.shape).half() for n, tensor in form.items() if tensor.is_floating_point()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, file)
