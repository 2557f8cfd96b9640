"""Decoupled tuning of a loaded Wan model on one clip: latents, heads, branches, loop, with the host's progress."""

import hashlib
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ...vmt import VERSION
from ...vmt.errors import InputError, UnsupportedModelError
from ...vmt.lora.branches import SPATIAL, TEMPORAL, BranchLora, check_rank
from ...vmt.lora.head_roles import ROLES_SIGMA, HeadRoles
from ...vmt.lora.presets import TunerConfig
from ...vmt.lora.roles_file import find_roles, read_roles, save_roles, write_mark
from ...vmt.lora.sparse_frames import auto_stride, rope_factor, sparse_phases
from ...vmt.lora.time_left import TimeLeft
from ...vmt.lora.tune import Progress, Sample, Stage, TuneConfig, tune
from ...vmt.token_grid import TokenGrid
from ...vmt.whole_file import drop_partials
from .base_model import base_mark
from .checkpoint import copied_bytes, fitting
from .input_check import check_reference
from .lora_branches import branches_in
from .model_check import WanSizes
from .node_text import show_on_node
from .tuning_pass import TuningPass, with_model

KEPT_CHECKPOINTS = 3  # of other runs
MARKING = ("self_attn.q.weight", "ffn.0.weight")  # what was merged into a checkpoint has changed one of them
SAMPLED = 4096  # values of a tensor
KEPT_FROM = 5  # latent frames of a clip on which heads are told apart for good; of fewer they look different
FOLDER = "vmt_tuning"  # of checkpoints and tables of heads, under the user's folder
SHIPPED = Path(__file__).resolve().parents[2] / "vmt" / "demo" / "weights" / "heads"


@dataclass
class Tuned:
    """branches: those that were trained, by name, on the CPU. losses: of every step. held_out: the loss of each branch
    on draws never trained on. about: for its file. checkpoint: to be removed once they are written."""

    branches: dict[str, BranchLora]
    roles: HeadRoles
    losses: list[float]
    held_out: dict[str, float]
    about: dict[str, dict[str, str]]
    checkpoint: Path


@dataclass(frozen=True)
class Clips:
    """Latents in VAE scale, (1,C,F,h,w): thinned-out clips, single frames. rope_factor: of the thinned-out ones, as it
    was chosen; ends_factor: the one that puts their ends where the clip has them. frames_sha256: see `frames_hash`."""

    sparse: list[Tensor]
    stills: list[Tensor]
    rope_factor: float
    ends_factor: float = 1.0
    frames_sha256: str = ""


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
    roles = _known_roles(base_mark(patcher, wan), wan)
    all_but_one = torch.arange(wan.num_heads)[None] < max(1, wan.num_heads - 1)
    for branch in (SPATIAL, TEMPORAL):
        heads = _reached(roles, config)[branch] if roles else all_but_one | (config.heads == "all")
        check_rank(config.rank_of(branch), heads, wan.dim)


def encode_clips(vae, frames: Tensor, config: TunerConfig, seed: int) -> Clips:
    """Latents of the thinned-out clip, at different phases, and of single frames, from frames (T,H,W,3) 0..1.

    Raises:
        InputError: not 4n+1 frames, or too few for the stride.
    """
    num, rng = len(frames), Random(seed)
    stride = config.stride or auto_stride(num)
    chosen = sparse_phases(num, stride, config.phases, rng)
    stills = rng.sample(range(num), min(config.stills, num)) if config.spatial_steps else []
    used = chosen if config.temporal_steps else chosen[:1]  # by one at least the heads are told apart
    return Clips(
        [vae.encode(frames[numbers, ..., :3]) for numbers in used],
        [vae.encode(frames[i : i + 1, ..., :3]) for i in stills], rope_factor(num, len(chosen[0]), config.rope),
        rope_factor(num, len(chosen[0]), "ends"), frames_hash(frames),
    )  # fmt: skip


def tune_clip(patcher, wan: WanSizes, positive: list, clips: Clips, config: TunerConfig, seed: int) -> Tuned:
    """Branches of the model that make the clip's motion and look; the model itself stays as it is.

    Interrupted or failing, it keeps what it has learned; the same call goes on from there.
    """
    latent = clips.sparse[0]
    grid = check_reference(latent, wan)

    def work(model: TuningPass) -> Tuned:
        sparse = tuple(Sample(model.to_model(clip), clips.rope_factor) for clip in clips.sparse)
        stills = tuple(Sample(model.to_model(still)) for still in clips.stills)
        mark = base_mark(model.guider.model_patcher, wan)
        roles = _head_roles(model, wan, mark, Sample(sparse[0].latent, clips.ends_factor), grid)
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
            Stage(
                TEMPORAL, sparse, config.temporal_steps, config.learning_rate, motion_weight=config.motion_weight,
                motion_loss=config.motion_loss, level_weights=config.level_weights,
                sigma_end=config.sigma_end, strengths={SPATIAL: look_on},
            ),
        ]  # fmt: skip
        stages = [stage for stage in stages if stage.steps]
        key = _key(model, clips, positive, config, seed, roles)
        checkpoint = Path(folder_paths.get_user_directory()) / FOLDER / f"{key[:16]}.safetensors"
        _drop_old(checkpoint)
        history = _run(model, wan, branches, stages, config, seed, grid, checkpoint, key)
        about = {
            "base_model": str(wan), "base_fingerprint": write_mark(mark), "heads": str(roles),
            "reference_sha256": clips.frames_sha256, "made_by": "comfyui-vmt Decoupled-LoRA Tuner", "version": VERSION,
            **{f"setting_{name}": str(value) for name, value in asdict(config).items()},
        }  # fmt: skip
        names = [stage.branch for stage in stages]
        return Tuned(
            {name: branches[name].cpu() for name in names}, roles, history["loss"],
            dict(zip(names, history["best"], strict=True)),
            {
                name: {**about, **_about_branch(branches[name]), "steps": f"{steps:.0f}"}
                for name, steps in zip(names, history["steps"], strict=True)
            },
            checkpoint,
        )  # fmt: skip

    return with_model(patcher, positive, latent, work)


def _about_branch(branch: BranchLora) -> dict[str, str]:
    """head_mask: a group of figures a block, 1 for each head that the branch reaches."""
    rows = ("".join(str(int(reached)) for reached in row) for row in branch.heads.tolist())
    return {"rank": str(branch.rank), "head_mask": " ".join(rows)}


def _reached(roles: HeadRoles, config: TunerConfig) -> dict[str, Tensor]:
    """(blocks, N) bool of each branch: the heads that it reaches."""
    every = config.heads == "all"
    return {SPATIAL: ~roles.temporal | every, TEMPORAL: roles.temporal | every}


def _kept_tables() -> Path:
    return Path(folder_paths.get_user_directory()) / FOLDER / "heads"


def _known_roles(mark: list[float], wan: WanSizes) -> HeadRoles | None:
    return find_roles((_kept_tables(), SHIPPED), mark, (wan.num_blocks, wan.num_heads))


def _head_roles(model: TuningPass, wan: WanSizes, mark: list[float], reference: Sample, grid: TokenGrid) -> HeadRoles:
    """What the heads do: from the table of the model with this fingerprint, or measured on the clip.

    What was measured on a clip that is long enough is kept as the model's table.
    """
    roles = _known_roles(mark, wan)
    if roles is None:
        show_on_node("Telling spatial heads from temporal ones")
        noise = torch.randn(reference.latent.shape, generator=torch.Generator().manual_seed(0)).to(reference.latent)
        noisy = torch.lerp(reference.latent, noise, ROLES_SIGMA)
        roles = model.head_roles(noisy, ROLES_SIGMA, reference.rope_factor, grid, seed=0)
        if grid.frames >= KEPT_FROM:
            roles = _keep_table(roles, wan, mark)
    logging.info(f"[VMT] {roles}")
    return roles


def _keep_table(roles: HeadRoles, wan: WanSizes, mark: list[float]) -> HeadRoles:
    """The roles as the table has them: rounded, the same now as in later runs."""
    table = _kept_tables() / f"{hashlib.sha256(repr(mark).encode()).hexdigest()[:16]}.json"
    try:
        save_roles(table, roles, mark, str(wan))
        return read_roles(table)[0]
    except OSError as error:
        logging.warning(f"[VMT] The table of heads cannot be kept ({error}); it is measured again next time.")
        return roles


def _run(model, wan, branches, stages, config, seed, grid, checkpoint, key) -> dict[str, list[float]]:
    total = sum(stage.steps for stage in stages)
    progress = comfy.utils.ProgressBar(total)
    time_left = TimeLeft([(stage.steps, stage.samples[0].latent.shape[2]) for stage in stages])
    kept = "block"

    def ways() -> tuple[str, ...]:
        itemsize = (model.model.manual_cast_dtype or model.model.get_dtype()).itemsize
        copied = copied_bytes(model.guider.model_patcher, wan.num_blocks)
        return fitting(wan.num_blocks * grid.num_tokens, wan.dim, wan.ffn_dim, itemsize, model.device, copied)

    def predict(x, sigma, factor):
        return model.velocity(x, sigma, factor, kept)

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
        picture = ("JPEG", loss_picture(done.losses), 512) if done.step % 10 == 0 else None
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


def loss_picture(losses: list[float]) -> Image.Image:
    """The losses of a run so far as a curve, with their running mean."""
    width, height = 512, 256
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    top = max(losses)

    def place(i, value):
        return i / max(1, len(losses) - 1) * (width - 1), height - 1 - value / max(top, 1e-9) * (height - 1)

    means, mean = [], losses[0]
    for loss in losses:
        mean += 0.1 * (loss - mean)
        means.append(mean)
    for values, colour in ((losses, "#b8cbe8"), (means, "#1f4e9c")):
        draw.line([place(i, value) for i, value in enumerate(values)], fill=colour, width=2)
    return image


def frames_hash(frames: Tensor) -> str:
    """sha256 of the colours of frames (T,H,W,3 or 4) 0..1 in 8 bits: the same however the clip is tuned on."""
    return hashlib.sha256(
        (frames[..., :3].clamp(0, 1) * 255).round().byte().cpu().contiguous().numpy().data
    ).hexdigest()


def _hash(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _key(model: TuningPass, clips: Clips, positive: list, config: TunerConfig, seed: int, roles: HeadRoles) -> str:
    """Names all that a run depends on: clip, caption, settings, heads, and the model by some weights and its LoRAs."""
    patcher, texts = model.guider.model_patcher, [text for text, _ in positive]
    norms = [block.self_attn.norm_q.weight for block in model.model.diffusion_model.blocks]  # no LoRA changes them
    held = patcher.get_key_patches("diffusion_model.")  # first of each the weight without LoRAs, loaded or not
    weights = [_few(patches[0][0]) for name, patches in held.items() if name.endswith(MARKING)]
    loras = {name: _told(patches) for name, patches in sorted(patcher.patches.items())}
    hashed = _hash(*clips.sparse, *clips.stills, *texts, *norms, *weights, roles.temporal)
    return hashlib.sha256(f"{hashed} {loras} {config} {seed}".encode()).hexdigest()


def _few(tensor: Tensor) -> Tensor:
    """(n,) some thousand values, evenly spread: they tell two large tensors apart."""
    return tensor.detach().flatten()[:: max(1, tensor.numel() // SAMPLED)]


def _told(held) -> str:
    """What a patch of the host holds, the same in every process: numbers as they are, tensors by some values."""
    if isinstance(held, Tensor):
        return _hash(_few(held))
    if isinstance(held, list | tuple):
        return f"({', '.join(map(_told, held))})"
    if hasattr(held, "weights"):  # an adapter
        return _told(held.weights)
    return repr(held) if isinstance(held, str | int | float | None) else type(held).__name__


def _drop_old(checkpoint: Path) -> None:
    """Removes checkpoints of runs that were stopped and not taken up again, but for the last few, and broken writes.

    What cannot be removed stays.
    """
    with suppress(OSError):
        others = [file for file in checkpoint.parent.glob("*.safetensors") if file != checkpoint]
        for file in sorted(others, key=lambda file: file.stat().st_mtime)[:-KEPT_CHECKPOINTS]:
            file.unlink(missing_ok=True)
    for folder in (checkpoint.parent, _kept_tables()):
        drop_partials(folder)


def check_frames(frames: Tensor) -> None:
    """Raises InputError if frames (T,H,W,C) cannot be tuned on."""
    if frames.ndim != 4 or frames.shape[-1] < 3 or not torch.isfinite(frames).all():
        raise InputError(
            f"The frames have shape {tuple(frames.shape)}, or hold NaN; finite frames (number, height, width, 3) are "
            "needed. Connect the frames of Load Reference Video."
        )
