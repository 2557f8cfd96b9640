"""Prompts as a pass at half size needs them: what lies over the frame is made smaller with it."""

from torch import Tensor

from ...vmt.half_size import half_clean


def half_prompts(conds: list[dict], x: Tensor) -> list[dict]:
    """Processed conditionings of a latent x (B,C,F,h,w) for that latent at half height and width; copies.

    Pictures, masks and control videos of image-to-video, VACE and the like are pooled; text has no size. A mask over
    the prompt's own reach is left out: it weighs what a pass gives, not what its attention sees.
    """
    halved = []
    for cond in conds:
        cond = {key: value for key, value in cond.items() if key != "mask"}
        of_model = cond.get("model_conds", {})
        cond["model_conds"] = {key: _half(value, x.shape[-2:]) for key, value in of_model.items()}
        halved.append(cond)
    return halved


def _half(given, size):
    held = getattr(given, "cond", None)
    if not isinstance(held, Tensor) or held.ndim < 4 or held.shape[-2:] != size:
        return given
    pooled = half_clean(held.reshape(-1, 1, 1, *size)) if held.is_floating_point() else held[..., ::2, ::2]
    return given._copy_with(pooled.reshape(*held.shape[:-2], *pooled.shape[-2:]))
