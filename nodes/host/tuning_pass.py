"""Asking a loaded Wan model for velocities that can be learned from, with the host's own loading and prompts."""

from collections.abc import Callable
from typing import TypeVar

import comfy.model_management
import comfy.samplers
import torch
from comfy.model_patcher import set_model_options_patch_replace
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...vmt.errors import InputError, StateError
from ...vmt.flow_matching import velocity_from_clean
from ...vmt.lora.head_roles import HeadRoles, assign_roles, head_ratio
from ...vmt.lora.positions import AS_THEY_ARE, Positions
from ...vmt.lora.tune import Sample
from ...vmt.token_grid import TokenGrid
from .capture import check_form, plain_attention, plain_block, plain_options
from .checkpoint import checkpointed
from .gradient_scale import GradientScale
from .gradients import grad_scope
from .self_attention import with_self_attention
from .step_down import StepDown
from .versions import weights_are_staged
from .without_guidance import without_guidance

KEY = "vmt_tuning"
CAPTION = "positive"  # of the reference, by the host's name; those of further clips have a number behind it
RESERVE = 3  # times the host's own estimate of memory, for what the backward pass keeps
T = TypeVar("T")


class TuningPass:
    """The model of a run of the host, under the captions of its clips; valid inside `with_model`."""

    def __init__(self, guider, model_options: dict):
        self.guider, self.model, self.options = guider, guider.inner_model, model_options
        self.device = guider.model_patcher.load_device
        self.staged = weights_are_staged(guider.model_patcher)
        self.scale = GradientScale()
        self.memory = StepDown("tuning", "Use a smaller or shorter clip.")

    def to_model(self, latent: Tensor) -> Tensor:
        """A latent of a VAE node in the model's scale, float32, on its device."""
        return self.model.process_latent_in(latent.to(self.device)).float().clone()

    def velocity(self, x: Tensor, sigma: float, sample: Sample, kept: str = "block") -> Tensor:
        """Velocity (noise - clean) of x (1,C,F,h,w), float32, with a gradient to the branches in the model.

        Args:
            sample: what x is made of; says the caption and where its tokens sit. kept: of `checkpoint.CHECKPOINTS`.
        """
        wanted = torch.is_grad_enabled()
        with grad_scope(self.staged), torch.set_grad_enabled(wanted):
            options = self._options(sample.positions, lambda _, patch: checkpointed(patch, kept, self.staged))
            # Without a gradient to its input a block is not recorded as a whole, and could not be computed again.
            x = x.detach().clone().requires_grad_(wanted)
            return self._asked(x, sigma, options, sample.caption)

    def head_roles(self, x: Tensor, sigma: float, positions: Positions, grid: TokenGrid, seed: int) -> HeadRoles:
        """What the heads of every block do, from one pass over x."""
        found: dict[int, tuple[Tensor, Tensor]] = {}
        options = self._options(positions, lambda block, patch: _looked_at(block, patch, grid, seed, found))
        with torch.no_grad():
            self._asked(x, sigma, options)
        if not found:
            raise StateError(
                "No attention was seen in the model's blocks; another node may replace or skip it. Take attention and "
                "caching nodes off the MODEL line."
            )
        ratio, error = (torch.stack(figures) for figures in zip(*(found[b] for b in sorted(found)), strict=True))
        return assign_roles(ratio, error)

    def _asked(self, x: Tensor, sigma: float, options: dict, caption: int = 0) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        sigmas = torch.full((x.shape[0],), sigma, device=x.device)
        clean = comfy.samplers.calc_cond_batch(self.model, [self.guider.conds[_named(caption)]], x, sigmas, options)[0]
        velocity = velocity_from_clean(x, clean.float(), sigma)
        return self.scale.enlarge([velocity])[0] if velocity.requires_grad else velocity

    def _options(self, positions: Positions, around: Callable[[int, Callable], Callable]) -> dict:
        """A copy of the options for one pass. around: (number of a block, its patch) -> the patch to run instead."""
        options = plain_options(self.options)
        to = options["transformer_options"]
        to["optimized_attention_override"] = plain_attention  # faster ones have no gradient, or a wrong one
        if positions != AS_THEY_ARE:
            to["rope_options"] = _moved(to.get("rope_options") or {}, positions)
        previous = to.get("patches_replace", {}).get("dit", {})
        for block in range(len(self.model.diffusion_model.blocks)):
            patch = around(block, previous.get(("double_block", block)) or plain_block)
            options = set_model_options_patch_replace(options, patch, "dit", "double_block", block)
        return options


def with_model(patcher, captions: list[list], latent: Tensor, work: Callable[[TuningPass], T]) -> T:
    """work(pass) with the model loaded and the captions prepared as for sampling a video like `latent` (VAE scale).

    Outside inference mode, with gradients. The model is afterwards as before, whatever happens.
    """
    held = {}

    def hold(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
        with torch.inference_mode(False), torch.enable_grad():
            held["result"] = work(TuningPass(model.inner_model, extra_args["model_options"]))
        return x

    def reserve(executor, model, noise_shape, *args, **kwargs):
        return executor(model, [noise_shape[0] * RESERVE, *noise_shape[1:]], *args, **kwargs)

    patched = without_guidance(patcher)
    patched.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, KEY, reserve)
    guider = comfy.samplers.CFGGuider(patched)
    guider.inner_set_conds({_named(number): caption for number, caption in enumerate(captions)})
    guider.set_cfg(1.0)
    guider.sample(
        torch.zeros_like(latent), latent, comfy.samplers.KSAMPLER(hold), torch.tensor([1.0]), disable_pbar=True
    )
    return held["result"]


def _moved(own: dict, positions: Positions) -> dict:
    """The host's `rope_options` for tokens at `positions` of a clip that `own` are set for."""
    moved = {**own, "scale_t": positions.scale_t * own.get("scale_t", 1.0)}
    for axis in "yx":
        scale, shift = own.get(f"scale_{axis}", 1.0), own.get(f"shift_{axis}", 0.0)
        moved |= {f"scale_{axis}": positions.scale * scale, f"shift_{axis}": positions.shift * scale + shift}
    return moved


def _named(caption: int) -> str:
    return f"{CAPTION} {caption}" if caption else CAPTION


def _looked_at(block: int, before: Callable, grid: TokenGrid, seed: int, found: dict) -> Callable:
    """The replacement patch of a block whose self-attention is looked at; `before`, the patch there was, still runs."""

    def look(attend, q, k, v, heads, *rest, **kwargs):
        if block not in found:
            check_form(q, kwargs)
            if q.shape[1] != grid.num_tokens:
                raise InputError(
                    f"The model sees {q.shape[1]} tokens, the clip has {grid.num_tokens}; pictures beside the video or "
                    "a caption limited to a rectangle are not tuned. Use a text-to-video model and a plain caption."
                )
            found[block] = head_ratio(*(x[0].unflatten(-1, (heads, -1)) for x in (q, k)), grid, seed=seed + block)
        return attend(q, k, v, heads, *rest, **kwargs)

    def replace(args, extra):
        return with_self_attention(before, args, extra, look)

    return replace
