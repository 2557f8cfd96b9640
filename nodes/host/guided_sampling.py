"""Motion guidance as wrappers around the host's sampling; works under every node that samples with a KSAMPLER."""

import copy
import logging
from dataclasses import dataclass, replace

import comfy.model_management
import comfy.samplers
import torch
from comfy.patcher_extension import WrapperExecutor, WrappersMP
from torch import Tensor

from ...vmt.errors import InputError
from ...vmt.guidance.config import GuidanceConfig
from ...vmt.guidance.gradient_skip import GradientSkip
from ...vmt.guidance.optimize_latent import optimize_latent
from ...vmt.signals.attention_flow import AttentionFlow, BlockFlow, attention_flow_loss
from .capture import Tap, capture_queries_keys, look_ahead
from .gradient_scale import GradientScale
from .gradients import grad_scope
from .input_check import check_conditioning, check_flow, check_grid
from .model_check import WanSizes, check_wan
from .node_text import show_on_node
from .sampler_chunks import sample_in_chunks, warn_of_memory
from .versions import weights_are_staged

KEY = "vmt_motion_guidance"
RESERVE = 3  # times the host's own estimate of memory, for what the backward pass keeps


def attach_guidance(
    patcher, flow: AttentionFlow | None, config: GuidanceConfig, checkpoint: str = "auto", mask: Tensor | None = None
):
    """A clone of the model that follows the motion of `flow` when it is sampled.

    Without flow, or with a config that is off, nothing is attached: the clone samples bit for bit as the model.

    Args:
        checkpoint: "none", "block" (forget a block's activations, compute them again) or "auto" (block if memory is
            short).
        mask: token weights (h, w) or (F, h, w), see `attention_flow_loss`.
    Raises:
        UnsupportedModelError: no Wan model, or the AMF is of another one.
        InputError: config.blocks names blocks that the AMF was not taken on.
    """
    patched = patcher.clone()
    if flow is None or config.is_off:
        return patched
    wan = check_wan(patcher)
    check_flow(flow, wan)
    guidance = MotionGuidance(_own_copy(flow, config.blocks), config, checkpoint, _normal_tensor(mask), wan)
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, guidance.check_and_sample)
    patched.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, KEY, guidance.reserve_memory)
    patched.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, guidance.sample_guided)
    return patched


def without_guidance(patcher):
    """A clone without motion guidance, for passes that must see the model as it is."""
    plain = patcher.clone()
    for kind in (WrappersMP.OUTER_SAMPLE, WrappersMP.PREPARE_SAMPLING, WrappersMP.SAMPLER_SAMPLE):
        plain.remove_wrappers_with_key(kind, KEY)
    return plain


def _normal_tensor(tensor: Tensor | None) -> Tensor | None:
    """A copy that autograd may save; tensors made by a node are inference tensors."""
    with torch.inference_mode(False):
        return None if tensor is None else tensor.detach().clone()


def _own_copy(flow: AttentionFlow, blocks: tuple[int, ...] | None) -> AttentionFlow:
    """The flow of the chosen blocks, in tensors that autograd may save."""
    missing = sorted(set(blocks or ()) - set(flow.blocks))
    if missing:
        raise InputError(
            f"Blocks {missing} were asked for, the AMF was taken on blocks {sorted(flow.blocks)}. Choose among these, "
            "or run Windowed Inversion with more blocks."
        )
    copied = {
        block: BlockFlow(*(_normal_tensor(t) for t in (held.centres, held.displacement_tok, held.confidence)))
        for block, held in flow.blocks.items()
        if not blocks or block in blocks
    }
    return replace(flow, pairs=_normal_tensor(flow.pairs), blocks=copied)


@dataclass(frozen=True)
class MotionGuidance:
    """The three wrappers, and what they share. Holds no state of a run."""

    flow: AttentionFlow
    config: GuidanceConfig
    checkpoint: str
    mask: Tensor | None
    wan: WanSizes

    def check_and_sample(self, executor, noise, latent_image, sampler, sigmas, *args, **kwargs):
        """OUTER_SAMPLE: refuse before anything is loaded."""
        guider = executor.class_obj
        if not hasattr(sampler, "sampler_function"):
            raise InputError(
                f"The sampler is a {type(sampler).__name__}, which cannot be called step by step; Motion Guidance "
                "needs one of ComfyUI's own. Choose it with KSamplerSelect, euler for example."
            )
        if "positive" not in guider.conds:
            raise InputError(
                f"The guider {type(guider).__name__} has no positive prompt; Motion Guidance follows the positive one. "
                "Use CFGGuider or BasicGuider."
            )
        check_conditioning("The positive prompt", guider.conds["positive"], self.wan)
        check_grid(self.flow, latent_image, self.wan)
        if not torch.isfinite(noise).all():
            raise InputError(
                "The noise to start from holds NaN or infinite values; only finite ones can be sampled. "
                "Check the node that makes the noise."
            )
        return executor(noise, latent_image, sampler, sigmas, *args, **kwargs)

    def reserve_memory(self, executor, model, noise_shape, *args, **kwargs):
        """PREPARE_SAMPLING: the host frees memory for a larger batch than there is. Once, if guidances are chained."""
        guidances = [w for w in executor.wrappers if isinstance(getattr(w, "__self__", None), MotionGuidance)]
        times = RESERVE if guidances[0].__self__ is self else 1
        return executor(model, [noise_shape[0] * times, *noise_shape[1:]], *args, **kwargs)

    def sample_guided(self, executor, guider, sigmas, extra_args, callback, noise, *args, **kwargs):
        """SAMPLER_SAMPLE: the same sampler, called in pieces. A cached SAMPLER object is never changed."""
        levels = [level for level in sigmas[:-1].tolist() if self.config.guides(level)]
        if not levels:
            logging.warning(
                f"[VMT] No step is guided: the sampler goes through noise levels {float(sigmas[0]):.3f} to "
                f"{float(sigmas[-1]):.3f}, guidance is set for {self.config.sigma_start} to {self.config.sigma_end}. "
                "Use more steps, or a wider range."
            )
            return executor(guider, sigmas, extra_args, callback, noise, *args, **kwargs)
        sampler = copy.copy(executor.class_obj)
        warn_of_memory(sampler.sampler_function)
        sampler.sampler_function = self._guided(sampler.sampler_function, levels)
        onward = WrapperExecutor.new_class_executor(sampler.sample, sampler, executor.wrappers, executor.idx + 1)
        return onward.execute(guider, sigmas, extra_args, callback, noise, *args, **kwargs)

    def _guided(self, sampler_function, levels: list[float]):
        """The sampler function with guided steps in it. `levels`: all noise levels of the run that are guided."""
        skip = GradientSkip(self.config.recompute_every)

        def guided(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
            extra_args = extra_args or {}

            def change(x, i):
                number = sum(level >= float(sigmas[i]) for level in levels)
                title = f"Motion guidance: step {number} of {len(levels)}"
                return self._guided_step(model, x, sigmas[i], extra_args, skip, title)

            steps = [i for i, level in enumerate(sigmas[:-1].tolist()) if self.config.guides(level)]
            return sample_in_chunks(
                sampler_function, change, steps, model, x, sigmas, extra_args, callback, disable, options
            )

        guided.guided_sampler = sampler_function
        return guided

    def _guided_step(self, model, x: Tensor, sigma: Tensor, extra_args: dict, skip: GradientSkip, title: str) -> Tensor:
        """x after the inner iterations at one noise level. model: the host's KSamplerX0Inpaint."""
        guider, losses = model.inner_model, []

        def before_update(info):
            comfy.model_management.throw_exception_if_processing_interrupted()
            losses.append(info["loss"].mean().item())
            show_on_node(
                f"{title}, {info['i'] + 1} of {info['inner_steps']}: loss {losses[0]:.2e} now {losses[-1]:.2e}"
            )

        with grad_scope(copy_staged=weights_are_staged(guider.model_patcher)):
            denoise_mask = self._denoise_mask(model, sigma, extra_args)
            loss_fn = self.loss_function(model, x, sigma, extra_args["model_options"], denoise_mask)
            x = optimize_latent(x, loss_fn, self._config(denoise_mask), skip, before_update)
        if losses:  # none if a noise mask protects everything
            logging.info(f"[VMT] {title}, noise level {float(sigma):.3f}: loss {losses[0]:.3e} to {losses[-1]:.3e}")
        return x

    def loss_function(self, model, x: Tensor, sigma: Tensor, model_options: dict, denoise_mask: Tensor | None = None):
        """latent (B, C, F, h, w) -> loss (B,) of videos at noise level sigma; to be made and called in a grad scope."""
        guider = model.inner_model
        sigmas = sigma.clone() * x.new_ones(x.shape[0])
        tap = Tap(
            tuple(sorted(self.flow.blocks)), self.wan.num_blocks, self.flow.grid, self.flow.rope,
            self._checkpoints(x, guider), weights_are_staged(guider.model_patcher),
        )  # fmt: skip
        wan, prompts = guider.inner_model, guider.conds["positive"]
        level = min(float(sigma), self.flow.sigma) if self.config.look_ahead else float(sigma)

        def loss_fn(latent):
            scale = GradientScale()
            seen, at = _beside_known(model, scale.reduce(latent), sigmas, denoise_mask), sigmas
            if level < float(sigma):
                seen = look_ahead(wan, prompts, seen, sigmas, level, model_options)
                at = torch.full_like(sigmas, level)
            queries, keys = capture_queries_keys(wan, prompts, seen, at, model_options, tap)
            captured = scale.enlarge([*queries.values(), *keys.values()])
            queries = dict(zip(queries, captured[: len(queries)], strict=True))
            keys = dict(zip(keys, captured[len(queries) :], strict=True))
            loss = attention_flow_loss(self.flow, queries, keys, self.mask)
            return loss.unflatten(0, (-1, latent.shape[0])).mean(0)  # over prompts

        return loss_fn

    def _config(self, denoise_mask: Tensor | None) -> GuidanceConfig:
        """With a noise mask, steps keep their size where the video is free: the RMS counts kept parts as zeros."""
        if denoise_mask is None or self.config.update != "rms":
            return self.config
        return replace(self.config, strength=self.config.strength * denoise_mask.square().mean().sqrt().item())

    def _denoise_mask(self, model, sigma: Tensor, extra_args: dict) -> Tensor | None:
        """1 where the video is made anew, 0 where the sampler keeps what is there."""
        mask = extra_args.get("denoise_mask")
        change = extra_args["model_options"].get("denoise_mask_function")
        if mask is not None and change is not None:
            mask = change(sigma.clone(), mask, extra_options={"model": model.inner_model, "sigmas": model.sigmas})
        return None if mask is None else mask.clone()

    def _checkpoints(self, x: Tensor, guider) -> bool:
        """Whether blocks are computed again; "auto": if all their activations would fill half of the free memory."""
        if self.checkpoint != "auto":
            return self.checkpoint == "block"
        # Tensors of one token width that autograd keeps of a block: about 20, and 3 of the width of the feed-forward.
        per_token = 20 * self.wan.dim + 3 * self.wan.ffn_dim
        itemsize = (guider.inner_model.manual_cast_dtype or guider.inner_model.get_dtype()).itemsize
        kept = max(self.flow.blocks) * per_token * self.flow.grid.num_tokens * x.shape[0] * itemsize
        return kept > comfy.model_management.get_free_memory(x.device) / 2


def _beside_known(model, latent: Tensor, sigmas: Tensor, denoise_mask: Tensor | None) -> Tensor:
    """What the model is shown under a noise mask: the known video, at this noise level, where the mask is 0."""
    if denoise_mask is None:
        return latent
    known = model.inner_model.inner_model.scale_latent_inpaint(
        x=latent.detach(), sigma=sigmas, noise=model.noise, latent_image=model.latent_image
    )
    return latent * denoise_mask + known * (1 - denoise_mask)
