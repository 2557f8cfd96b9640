"""Calling a sampler in pieces, so that the latent can be changed between its steps.

Euler, heun and ddim do not notice. Samplers that draw noise get one noise source for the whole run, since they would
otherwise start the same random numbers again in every piece. Samplers that remember earlier steps forget them. UniPC
goes nowhere in a piece of one step, and is helped out.
"""

import inspect
import logging
from collections.abc import Callable

from comfy.k_diffusion import sampling
from torch import Tensor
from tqdm.auto import tqdm

from .node_text import show_on_node

# Driven by a Brownian tree over the whole range of noise levels; the "gpu" forms build it on the device.
BROWNIAN = {
    "sample_dpmpp_sde", "sample_dpmpp_2m_sde", "sample_dpmpp_2m_sde_heun", "sample_dpmpp_3m_sde",
    "sample_dpmpp_sde_gpu", "sample_dpmpp_2m_sde_gpu", "sample_dpmpp_2m_sde_heun_gpu", "sample_dpmpp_3m_sde_gpu",
}  # fmt: skip
# These keep results of earlier steps, or plan all steps at once.
WITH_MEMORY = (
    "dpmpp_2m", "dpmpp_3m", "dpm_fast", "dpm_adaptive", "res_multistep", "unipc", "lms", "ipndm", "deis",
    "gradient_estimation", "er_sde", "sa_solver", "heunpp2",
)  # fmt: skip
# In a run of one step their order comes out as 0: they ask the model, and leave the video as it is.
NEED_TWO_STEPS = {"sample_unipc", "sample_unipc_bh2"}


def sample_in_chunks(
    sampler_function: Callable, change: Callable[[Tensor, int], Tensor], at_steps: list[int],
    model, x: Tensor, sigmas: Tensor, extra_args: dict, callback: Callable | None, disable: bool | None, options: dict,
) -> Tensor:  # fmt: skip
    """`sampler_function` over all `sigmas`, with x <- change(x, i) before each step i of `at_steps`.

    Args:
        callback: the sampler's own; it sees step numbers 0..N-1 once, as in one piece.
        disable: True hides the progress bar of the console.
        options: further arguments of the sampler function.
    """
    own_noise = _persistent_noise(sampler_function, x, sigmas, extra_args, options)
    options, seed = {**own_noise, **options}, extra_args.get("seed")
    reseeds = not own_noise and seed is not None and _may_hide_noise(sampler_function)
    num_steps = len(sigmas) - 1
    starts = sorted({0, *at_steps})
    with tqdm(total=num_steps, disable=disable) as bar:
        for start, end in zip(starts, [*starts[1:], num_steps], strict=True):
            if start in at_steps:
                x = change(x, start)
            piece_args = {**extra_args, "seed": seed + start} if reseeds else extra_args
            piece, given = _of_piece(sampler_function, options, end - start)
            x = piece(
                model, x, sigmas[start : end + 1], extra_args=piece_args, callback=_from_step(start, callback, bar),
                disable=True, **given,
            )  # fmt: skip
    return x


def _of_piece(sampler_function: Callable, options: dict, num_steps: int) -> tuple[Callable, dict]:
    """The sampler for a piece of so many steps, and its options.

    The host's own UniPC of order 1 without its corrector goes from s to s' by x + (s' / s - 1) (x - clean), which is a
    step of Euler.
    """
    if num_steps == 1 and getattr(sampler_function, "__name__", "") in NEED_TWO_STEPS:
        return sampling.sample_euler, {}
    return sampler_function, options


def _from_step(start: int, callback: Callable | None, bar) -> Callable:
    def step_done(info):
        bar.update(start + info["i"] + 1 - bar.n)
        if callback is not None:
            callback({**info, "i": start + info["i"]})

    return step_done


def _persistent_noise(sampler_function: Callable, x: Tensor, sigmas: Tensor, extra_args: dict, options: dict) -> dict:
    """{"noise_sampler": ...} as the sampler itself would make it for the whole run; {} if it takes none."""
    sampler_function = innermost(sampler_function)
    if "noise_sampler" in options or "noise_sampler" not in inspect.signature(sampler_function).parameters:
        return {}
    seed = extra_args.get("seed")
    name = getattr(sampler_function, "__name__", "")
    if name in BROWNIAN:
        above_zero = sigmas[sigmas > 0]
        on_cpu = not name.endswith("_gpu")
        tree = sampling.BrownianTreeNoiseSampler(x, above_zero.min(), sigmas.max(), seed=seed, cpu=on_cpu)
        return {"noise_sampler": tree}
    return {"noise_sampler": sampling.default_noise_sampler(x, seed=seed)}


def _may_hide_noise(sampler_function: Callable) -> bool:
    """Whether it may hand what it is given on to a sampler that draws noise: other packs wrap samplers like this.

    Such a one takes no noise source of ours. Another seed for each piece keeps it from drawing the same noise again.
    """
    parameters = inspect.signature(innermost(sampler_function)).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def warn_of_memory(sampler_function: Callable) -> str:
    """What this sampler loses when it is called in pieces, in the log and on the node; "" if nothing."""
    name = getattr(innermost(sampler_function), "__name__", "").removeprefix("sample_")
    if not name.startswith(WITH_MEMORY):
        return ""
    told = (
        f"Motion guidance changes the video between steps, and the sampler {name!r} forgets earlier steps at each "
        "guided one. It works, but euler is the safe choice."
    )
    logging.warning(f"[VMT] {told}")
    show_on_node(told)
    return told


def innermost(sampler_function: Callable) -> Callable:
    """The host's sampler inside one or more motion guidances."""
    while hasattr(sampler_function, "guided_sampler"):
        sampler_function = sampler_function.guided_sampler
    return sampler_function
