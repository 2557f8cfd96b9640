"""Motion guidance as wrappers around the host's sampling; works under every node that samples with a KSAMPLER.

What is followed, a motion signal, is a class of its own: `attention_guidance`, `latent_guidance`.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

import comfy.model_management
import comfy.samplers
import torch
from comfy.patcher_extension import WrapperExecutor, WrappersMP
from torch import Tensor

from ...vmt.errors import InputError
from ...vmt.flow_matching import velocity_from_clean
from ...vmt.guidance.config import GuidanceConfig
from ...vmt.guidance.gradient_skip import GradientSkip
from ...vmt.guidance.optimize_latent import optimize_latent
from ...vmt.signals.attention_flow import AttentionFlow, BlockFlow
from ...vmt.signals.latent_flow import LatentFlow
from .gradients import grad_scope
from .input_check import check_conditioning, check_grid
from .last_prediction import LastPrediction
from .model_check import WanSizes
from .node_text import show_on_node
from .noise_mask import free_share, mask_of_step
from .sampler_chunks import sample_in_chunks, warn_of_memory
from .step_down import FREE, StepDown
from .versions import weights_are_staged

KEY = "vmt_motion_guidance"


def attach(patcher, guidance: Guidance):
    """A clone of the model that is guided when it is sampled."""
    patched = patcher.clone()
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, guidance.check_and_sample)
    patched.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, KEY, guidance.reserve_memory)
    patched.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, guidance.sample_guided)
    return patched


def normal_tensor(tensor: Tensor | None) -> Tensor | None:
    """A copy that autograd may save; tensors made by a node are inference tensors."""
    with torch.inference_mode(False):
        return None if tensor is None else tensor.detach().clone()


def normal_flow(flow: AttentionFlow) -> AttentionFlow:
    """The flow in tensors that autograd may save."""
    copied = {
        block: BlockFlow(**{field.name: normal_tensor(getattr(held, field.name)) for field in fields(held)})
        for block, held in flow.blocks.items()
    }
    half = flow.half and normal_flow(flow.half)
    return replace(flow, pairs=normal_tensor(flow.pairs), blocks=copied, half=half)


def guidances_of(executor) -> list[Guidance]:
    """Whose wrappers are around what the executor runs, the outermost first."""
    return [w.__self__ for w in executor.wrappers if isinstance(getattr(w, "__self__", None), Guidance)]


@dataclass(frozen=True)
class Guidance:
    """The three wrappers, and what they share. Holds no state of a run. A signal says how far a video is from it."""

    flow: AttentionFlow | LatentFlow
    config: GuidanceConfig
    mask: Tensor | None
    wan: WanSizes

    reserve = 1  # times the host's own estimate of memory
    needs_prediction = False  # no step is guided before the sampler has made one
    signal = "motion"  # for messages, as is what to do when memory does not suffice
    advice = FREE

    def loss_function(
        self, model, x: Tensor, sigma: Tensor, model_options: dict, denoise_mask: Tensor | None = None,
        velocity: Tensor | None = None, way: str = "",
    ) -> Callable[[Tensor], Tensor]:  # fmt: skip
        """latent (B, C, F, h, w) -> loss (B,) of videos at noise level sigma; to be made and called in a grad scope.

        model: the host's KSamplerX0Inpaint. velocity: what the sampler's last call predicted, if there was one. way:
        one of `ways`.
        """
        raise NotImplementedError

    def ways(self, model, x: Tensor) -> tuple[str, ...]:
        """Ways to take the gradient; each needs less memory than the one before."""
        return ("",)

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
        if "middle" in guider.conds:
            raise InputError(
                f"The guider {type(guider).__name__} has two prompts beside the negative one; Motion Guidance follows "
                "one. Use CFGGuider, with both prompts joined by Conditioning (Combine)."
            )
        check_conditioning("The positive prompt", guider.conds["positive"], self.wan)
        check_grid(self.flow.grid, latent_image, self.wan)
        if not torch.isfinite(noise).all():
            raise InputError(
                "The noise to start from holds NaN or infinite values; only finite ones can be sampled. "
                "Check the node that makes the noise."
            )
        return executor(noise, latent_image, sampler, sigmas, *args, **kwargs)

    def reserve_memory(self, executor, model, noise_shape, *args, **kwargs):
        """PREPARE_SAMPLING: the host frees memory for a larger batch than there is. Once, if guidances are chained."""
        guidances = guidances_of(executor)
        times = max(guidance.reserve for guidance in guidances) if guidances[0] is self else 1
        return executor(model, [noise_shape[0] * times, *noise_shape[1:]], *args, **kwargs)

    def sample_guided(self, executor, guider, sigmas, extra_args, callback, noise, *args, **kwargs):
        """SAMPLER_SAMPLE: the same sampler, called in pieces. A cached SAMPLER object is never changed."""
        levels = self.config.guided_levels(sigmas[:-1].tolist(), self.needs_prediction)
        if not levels:
            logging.warning(
                f"[VMT] No step is guided by {self.signal}: the sampler goes through noise levels "
                f"{float(sigmas[0]):.3f} to {float(sigmas[-1]):.3f}, guidance is set for {self.config.sigma_start} to "
                f"{self.config.sigma_end}{', after the first step' * self.needs_prediction}. Use more steps, or a "
                "wider range."
            )
            return executor(guider, sigmas, extra_args, callback, noise, *args, **kwargs)
        sampler = copy.copy(executor.class_obj)
        told = warn_of_memory(sampler.sampler_function)
        sampler.sampler_function = self._guided(sampler.sampler_function, levels)
        onward = WrapperExecutor.new_class_executor(sampler.sample, sampler, executor.wrappers, executor.idx + 1)
        result = onward.execute(guider, sigmas, extra_args, callback, noise, *args, **kwargs)
        if told:  # again: a node shows one text, and by now it is that of the last guided step
            show_on_node(told)
        return result

    def _guided(self, sampler_function, levels: list[float]):
        """The sampler function with guided steps in it. `levels`: all noise levels of the run that are guided."""
        config, last, memory = self.config, LastPrediction(), StepDown(advice=self.advice)
        skip = GradientSkip(config.recompute_every, config.reuse_steps, config.turn)
        looks_on = self.needs_prediction or config.share_forward or config.reuse_steps

        def guided(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
            extra_args = extra_args or {}
            watched = last.kept_in(extra_args) if looks_on else extra_args

            def change(x, i):
                clean = last.clean_at(sigmas[i])
                if self.needs_prediction and clean is None:
                    return x
                number = sum(level >= float(sigmas[i]) for level in levels)
                title = f"Motion guidance: step {number} of {len(levels)}"
                skip.begin_step(clean)
                shares = clean is not None and (self.needs_prediction or config.share_forward)
                velocity = velocity_from_clean(x, clean, sigmas[i]) if shares else None
                step = partial(self._guided_step, model, x, sigmas[i], extra_args, skip, title, velocity)
                return memory.run(step, lambda: self.ways(model, x))

            steps = [i for i, level in enumerate(sigmas[:-1].tolist()) if level in levels]
            return sample_in_chunks(
                sampler_function, change, steps, model, x, sigmas, watched, callback, disable, options
            )

        guided.guided_sampler = sampler_function
        return guided

    def _guided_step(
        self, model, x: Tensor, sigma: Tensor, extra_args: dict, skip: GradientSkip, title: str,
        velocity: Tensor | None = None, way: str = "",
    ) -> Tensor:  # fmt: skip
        """x after the inner iterations at one noise level; the x given stays as it is."""
        guider, losses = model.inner_model, []

        def before_update(info):
            comfy.model_management.throw_exception_if_processing_interrupted()
            losses.append(info["loss"].mean().item())
            show_on_node(
                f"{title}, {info['i'] + 1} of {info['inner_steps']}: loss {losses[0]:.2e} now {losses[-1]:.2e}"
            )

        with grad_scope(copy_staged=weights_are_staged(guider.model_patcher)):
            mask = mask_of_step(model, sigma, extra_args)
            loss_fn = self.loss_function(model, x, sigma, extra_args["model_options"], mask, velocity, way)
            x = optimize_latent(x, loss_fn, self.config, skip, before_update, free_share(mask))
        if losses:  # none if a noise mask protects everything
            logging.info(f"[VMT] {title}, noise level {float(sigma):.3f}: loss {losses[0]:.3e} to {losses[-1]:.3e}")
        return x
