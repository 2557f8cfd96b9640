"""A short tuning of the tiny random Wan, through the executor."""

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

FRAMES = (9, 64, 64, 3)


@pytest.fixture(scope="session")
def clip():
    """Frames of a bright square that moves to the right."""
    frames = torch.full(FRAMES, 0.2)
    for t in range(FRAMES[0]):
        frames[t, 24:40, 8 + 4 * t : 24 + 4 * t] = torch.tensor([0.9, 0.6, 0.1])
    return frames


@pytest.fixture
def tuning(graph):
    """tuning(**changes) -> nodes with "tuned" the last; options=None leaves Tuner Options out."""

    def nodes(model=("model", 0), options=(), **changes):
        settings = {
            "spatial_steps": 3, "half_steps": 2, "temporal_steps": 2, "learning_rate": 0.01, "rank": 4, "stride": 2,
            "stills": 2,
        }  # fmt: skip
        more = {
            "phases": 2,
            "heads": "decoupled",
            "rope": "ends",
            "motion_weight": 1.0,
            "motion_loss": "signed",
            "level_weights": "flat",
            "spatial_on": True,
            "sigma_end": 0.7,
            "appearance_rank": 0,
            "sparse": "latents",
            "latent_flow": False,
        }
        inputs = {
            "model": list(model), "vae": ["vae", 0], "frames": ["clip", 0], "positive": ["positive", 0],
            "preset": "draft", "seed": 1, "motion_strength": 1.0, "appearance_strength": 0.0,
            "filename_prefix": "loras/test", **changes,
        }  # fmt: skip
        made = {"vae": graph.node("VAELoader", vae_name="vmt_demo_wan_vae.safetensors")}
        if options is not None:
            made["options"] = graph.node(
                "VMT_TunerOptions", **{**settings, **more, "patience": 0, **dict(options)}
            )  # fmt: skip
            inputs["options"] = ["options", 0]
        return {**made, "tuned": graph.node("VMT_DecoupledLoraTuner", **inputs)}

    return nodes


@pytest.fixture
def tune(executor, given, clip, graph, tuning):
    """tune(**changes) -> Result with model, motion, appearance, loss_map and heads.

    give: objects in the place of the clip, or beside it, for links such as model=("own", 0).
    """

    def run(*, on_event=None, name=None, give=(), **changes):
        loader = graph.loader(*([name] if name else []))
        want = {name: ["tuned", i] for i, name in enumerate(("model", "motion", "appearance", "loss_map", "heads"))}
        return executor.run(
            {**loader, **tuning(**changes)}, want=want, give={**given, "clip": clip, **dict(give)},
            on_event=on_event,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def long_clip(clip):
    """17 frames, of which heads are told apart for good."""
    return torch.cat([clip, clip.flip(0)[1:]])


@pytest.fixture
def no_wan(host):
    """A MODEL of another architecture, without Wan's blocks and without weights."""
    import comfy.model_patcher
    import comfy.supported_models as known

    config = known.LTXV({"image_model": "ltxv", "num_layers": 1, "num_attention_heads": 2})
    config.set_inference_dtype(torch.float32, None)
    with torch.device("meta"):
        other = config.get_model({}, "")
    return comfy.model_patcher.ModelPatcher(other, torch.device("cpu"), torch.device("cpu"))


@pytest.fixture
def about():
    """about(path) -> what a LoRA file says of itself."""

    def read(path):
        with safe_open(path, "pt") as file:
            return file.metadata()

    return read


@pytest.fixture
def anew(pack):
    """anew(): a run that was made is made again."""
    return pack("nodes.host.tuning").forget


@pytest.fixture
def no_files(host, anew):
    """Runs, checkpoints and files of earlier tests are gone; LoRAs under output are listed, as main.py has it."""
    import folder_paths

    anew()
    folder_paths.add_model_folder_path("loras", str(host.base / "output" / "loras"))
    kept = host.base / "user" / "vmt_tuning"
    for folder in (kept, kept / "heads", host.base / "output" / "loras"):
        for file in folder.glob("*.*"):
            file.unlink()
    return host.base


@pytest.fixture
def load(graph):
    """load(file, **inputs) -> Load Motion LoRA, as a node of that name."""

    def node(motion, model=("model", 0), name="lora", **inputs):
        inputs = {"motion_strength": 1.0, "appearance_lora": "none", "appearance_strength": 1.0, **inputs}
        return {name: graph.node("VMT_LoadMotionLora", model=list(model), motion_lora=motion, **inputs)}

    return node


@pytest.fixture
def key_of(pack, given):
    """key_of(model) -> what names a run on that model, all else being the same.

    positive: another caption. changes: of the clips.
    """
    tuning_clips, run_key = pack("nodes.host.tuning_clips"), pack("nodes.host.tuning_key").run_key
    presets, with_model = pack("vmt.lora.presets"), pack("nodes.host.tuning_pass").with_model
    roles = pack("vmt.lora.head_roles").assign_roles(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
    latent = given["reference"]["samples"]
    clips, config = tuning_clips.Clips(latent, [latent], [0], [], 1.0), presets.TunerConfig()

    def key(model, positive=given["positive"], **changes):
        changed = replace(clips, **changes)
        with torch.inference_mode():
            return with_model(
                model, [positive], latent, lambda held: run_key(held, changed, [positive], config, 0, roles)
            )

    return key
