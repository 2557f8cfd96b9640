"""Decoupled tuning of a loaded Wan model on clips: latents, heads, branches, loop, with the host's progress."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from ...vmt import VERSION
from ...vmt.errors import InputError, UnsupportedModelError
from ...vmt.half_size import half_grid
from ...vmt.lora.branches import SPATIAL, TEMPORAL, BranchLora, check_rank
from ...vmt.lora.flow_in_file import read_flow, written_flow
from ...vmt.lora.head_roles import HeadRoles
from ...vmt.lora.loss_picture import loss_picture
from ...vmt.lora.positions import Positions
from ...vmt.lora.presets import TunerConfig
from ...vmt.lora.roles_file import write_mark
from ...vmt.lora.time_left import TimeLeft
from ...vmt.lora.tune import Progress, Sample, Stage, TuneConfig, halved, tune
from ...vmt.lora.use import Use
from ...vmt.signals.attention_flow import AttentionFlowConfig
from ...vmt.signals.latent_flow import LatentFlow, extract_latent_flow
from ...vmt.token_grid import TokenGrid
from .base_model import base_mark
from .checkpoint import fitting
from .input_check import check_reference
from .lora_branches import branches_in
from .model_check import WanSizes
from .node_text import show_on_node
from .tuning_clips import Clips
from .tuning_files import checkpoint_file, drop_old
from .tuning_heads import head_roles, known_roles
from .tuning_key import run_key
from .tuning_pass import TuningPass, with_model


@dataclass
class Tuned:
    """branches: those that were trained, by name, on the CPU. losses: of every step. held_out: the loss of each branch
    on draws never trained on. about: for its file. use: of the motion, with its flow. checkpoint: to be removed once
    they are written."""

    branches: dict[str, BranchLora]
    roles: HeadRoles
    losses: list[float]
    held_out: dict[str, float]
    about: dict[str, dict[str, str]]
    use: Use
    checkpoint: Path


KEPT_RUNS = 2  # so that another strength or file name costs nothing: some MB each
_last: dict[str, Tuned] = {}  # by `run_key`, the one asked for last at the end


def _keep(key: str, tuned: Tuned) -> None:
    _last[key] = tuned
    while len(_last) > KEPT_RUNS:
        del _last[next(iter(_last))]


def forget() -> None:
    """The next run is made anew, whatever it is."""
    _last.clear()


def check_tunable(patcher, wan: WanSizes) -> None:
    """Raises UnsupportedModelError for models that need more than a caption, and for weights without a gradient."""
    model = patcher.model.diffusion_model
    if any(hasattr(weight, "_qdata") for weight in model.parameters()):
        raise UnsupportedModelError(
            f"The model is {wan} with quantised weights (scaled fp8 or similar), which have no gradient; fp16, bf16, "
            "fp32 and plain fp8 (weight_dtype of Load Diffusion Model) are allowed. Load such a file; the LoRA fits "
            "the quantised one too."
        )
    if wan.kind != "WanModel" or model.patch_embedding.weight.shape[1] != wan.channels:
        raise UnsupportedModelError(
            f"The model is {wan}, which needs a picture or a control video beside the caption; text-to-video models of "
            "Wan 2.1 and 2.2 are allowed. Tune the text-to-video model of the same size: its LoRA fits this one too."
        )


def check_ranks(patcher, wan: WanSizes, config: TunerConfig) -> None:
    """Raises InputError for ranks that the model's heads do not have; before they are told apart, that they never can.

    It costs nothing: weights are looked at where they lie.
    """
    roles = known_roles(base_mark(patcher, wan), wan)
    all_but_one = torch.arange(wan.num_heads)[None] < max(1, wan.num_heads - 1)
    for branch in (SPATIAL, TEMPORAL):
        heads = _reached(roles, config)[branch] if roles else all_but_one | (config.heads == "all")
        check_rank(config.rank_of(branch), heads, wan.dim)


def check_half(grid: TokenGrid, wan: WanSizes) -> TokenGrid:
    """The grid at half height and width; raises InputError for a frame that is too small for one."""
    half = half_grid(grid)
    if half is None:
        raise InputError(
            f"The clip has {grid.height} by {grid.width} tokens of {wan.patch[1] * wan.pixels} pixels; to learn at "
            "half of its height and width 3 by 3 are needed. Load the clip larger, or set half_steps to 0 in Tuner "
            "Options."
        )
    return half


def tune_clips(
    patcher, wan: WanSizes, captions: list[list], clips: Clips, config: TunerConfig, seed: int
) -> Tuned:  # fmt: skip
    """Branches of the model that make the clips' motion and the reference's look; the model itself stays as it is.

    Interrupted or failing, it keeps what it has learned; the same call goes on from there. One of the last few runs is
    not made again.
    """
    latent = clips.sparse[0]
    grid = check_reference(latent, wan)
    most = grid.num_tokens
    if config.half_steps:
        most = max(most, check_half(TokenGrid.from_latent_shape(clips.whole[0].shape, wan.patch), wan).num_tokens)

    def work(model: TuningPass) -> Tuned:
        sparse = tuple(
            Sample(model.to_model(clip), Positions(clips.scale_t), caption)
            for clip, caption in zip(clips.sparse, clips.captions, strict=True)
        )
        half = tuple(
            halved(Sample(model.to_model(clip), caption=caption), config.rope)
            for caption, clip in enumerate(clips.whole)
        )
        stills = tuple(Sample(model.to_model(still)) for still in clips.stills)
        if half:  # the look has to be there at both sizes, or the motion branch would learn it at its own
            stills = tuple(each for still in stills for each in (still, halved(still, config.rope)))
        mark = base_mark(model.guider.model_patcher, wan)
        roles = head_roles(model, wan, mark, replace(sparse[0], positions=Positions(clips.ends_scale_t)), grid)
        branches = {
            name: BranchLora(heads, wan.dim, config.rank_of(name), seed=seed + number).to(model.device)
            for number, (name, heads) in enumerate(_reached(roles, config).items())
        }
        look_on = float(config.spatial_on and config.spatial_steps > 0)  # untrained branches would only take time
        stages = [
            Stage(
                SPATIAL, stills, config.spatial_steps, config.learning_rate, level_weights=config.level_weights,
                strengths={TEMPORAL: 0.0},
            ),
            *(
                Stage(
                    TEMPORAL, samples, steps, config.learning_rate, motion_weight=config.motion_weight,
                    motion_loss=config.motion_loss, level_weights=config.level_weights, sigma_end=config.sigma_end,
                    strengths={SPATIAL: look_on},
                )
                for samples, steps in ((half, config.half_steps), (sparse, config.temporal_steps))
            ),
        ]  # fmt: skip
        stages = [stage for stage in stages if stage.steps]
        key = run_key(model, clips, captions, replace(config, latent_flow=True), seed, roles)
        if key in _last:
            _keep(key, _last.pop(key))  # what was asked for last is kept longest
            return _last[key]
        checkpoint = checkpoint_file(key)
        drop_old(checkpoint)
        history = _run(model, wan, branches, stages, config, seed, most, checkpoint, key)
        about = {
            "base_model": str(wan), "base_fingerprint": write_mark(mark), "heads": str(roles),
            "reference_sha256": clips.frames_sha256, "clips": str(len(captions)),
            "made_by": "comfyui-vmt Decoupled-LoRA Tuner", "version": VERSION,
            **{f"setting_{name}": str(value) for name, value in asdict(config).items() if name != "latent_flow"},
        }  # fmt: skip
        names = [stage.branch for stage in stages]
        steps = {name: sum(n for own, n in zip(names, history["steps"], strict=True) if own == name) for name in names}
        tuned = Tuned(
            {name: branches[name].cpu() for name in steps}, roles, history["loss"],
            dict(zip(names, history["best"], strict=True)),  # of a branch's last stage
            {
                name: {**about, **_about_branch(branches[name]), "steps": f"{taken:.0f}"}
                for name, taken in steps.items()
            },
            Use(config.sigma_end, _flow(model, clips, wan)), checkpoint,
        )  # fmt: skip
        _keep(key, tuned)
        return tuned

    return with_model(patcher, captions, latent, work)


def _flow(model: TuningPass, clips: Clips, wan: WanSizes) -> LatentFlow:
    """Of the whole reference, as Extract AMF measures it, and as precise as a file holds it."""
    grid = TokenGrid.from_latent_shape(clips.reference.shape, wan.patch)
    flow = extract_latent_flow(model.to_model(clips.reference), grid, AttentionFlowConfig(), model.device)
    return read_flow(written_flow(flow))


def _about_branch(branch: BranchLora) -> dict[str, str]:
    """head_mask: a group of figures a block, 1 for each head that the branch reaches."""
    rows = ("".join(str(int(reached)) for reached in row) for row in branch.heads.tolist())
    return {"rank": str(branch.rank), "head_mask": " ".join(rows)}


def _reached(roles: HeadRoles, config: TunerConfig) -> dict[str, Tensor]:
    """(blocks, N) bool of each branch: the heads that it reaches."""
    every = config.heads == "all"
    return {SPATIAL: ~roles.temporal | every, TEMPORAL: roles.temporal | every}


def _run(model, wan, branches, stages, config, seed, num_tokens, checkpoint, key) -> dict[str, list[float]]:
    total = sum(stage.steps for stage in stages)
    progress = comfy.utils.ProgressBar(total)
    time_left = TimeLeft([(stage.steps, stage.samples[0].latent[0, 0].numel()) for stage in stages])
    kept = "block"

    def ways() -> tuple[str, ...]:
        return fitting(model.guider.model_patcher, wan, wan.num_blocks, num_tokens)

    def predict(x, sigma, sample):
        return model.velocity(x, sigma, sample, kept)

    def attempt(step):
        def run(way):
            nonlocal kept
            kept = way
            loss = step()
            for branch in branches.values():
                for parameter in branch.parameters():
                    if parameter.grad is not None:
                        parameter.grad /= model.scale.factor
            return loss

        return model.memory.run(run, ways)

    def report(done: Progress):
        comfy.model_management.throw_exception_if_processing_interrupted()
        at = sum(stage.steps for stage in stages[: done.stage]) + done.step
        picture = ("JPEG", loss_picture(done.losses), 512) if at % 10 == 0 else None
        progress.update_absolute(at, total, picture)
        held = "" if done.held_out is None else f", held out {done.held_out:.3f}"
        minutes = time_left.minutes(done.stage, done.step)
        left = "" if minutes is None else f", about {minutes} min left"
        told = f"{stages[done.stage].branch} branch, step {done.step} of {done.steps}: loss {done.losses[-1]:.3f}"
        show_on_node(f"{told}{held}{left}")

    with branches_in(model.model.diffusion_model, branches):
        return tune(
            branches, stages, predict, TuneConfig(seed=seed, patience=config.patience), checkpoint, report, key, attempt
        )
