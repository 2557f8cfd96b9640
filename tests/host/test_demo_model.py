"""The demo model the repository ships, through the host's own loaders, and the training classes held to the host's."""

import pytest
import torch

from vmt.demo.few_steps import FILE as FEW_STEPS_FILE
from vmt.demo.flow_accuracy import tapped
from vmt.demo.lora_file import add_lora
from vmt.demo.sampling import euler, load_dit, load_vae
from vmt.demo.train import DIT_FILE, VAE_FILE, WEIGHTS
from vmt.demo.train_dit import latent_scale
from vmt.demo.vocabulary import encode
from vmt.demo.wan_dit import WanDiT, WanShape
from vmt.demo.wan_vae import HALVES_TIME, LATENT_CHANNELS, MULTIPLIERS, WanVAE, fold_latent_statistics
from vmt.flow_matching import seeded_noise, shifted_sigmas


def _shake(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Random values for what starts as zero, so that a difference anywhere would show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.03 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


def _host_vae(state: dict) -> torch.nn.Module:
    from comfy.ldm.wan.vae import WanVAE as HostVAE

    vae = HostVAE(
        dim=16, z_dim=LATENT_CHANNELS, dim_mult=list(MULTIPLIERS), num_res_blocks=2, attn_scales=[],
        temperal_downsample=list(HALVES_TIME),
    )  # fmt: skip
    vae.load_state_dict(state)
    return vae.eval()


def test_training_dit_equals_the_hosts(host):
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    ours = _shake(WanDiT(WanShape(blocks=2)), 0)
    theirs = WanModel(
        dim=384, ffn_dim=1152, num_heads=3, num_layers=2, cross_attn_norm=True, operations=comfy.ops.disable_weight_init
    )
    theirs.load_state_dict(ours.state_dict())
    generator = torch.Generator().manual_seed(1)
    x, text = torch.randn(2, 16, 5, 8, 6, generator=generator), torch.randn(2, 7, 4096, generator=generator)
    timestep = torch.tensor([930.0, 210.0])
    with torch.no_grad():
        expected, got = theirs(x, timestep, text), ours(x, timestep, text)
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("num_frames", [1, 5, 13])
def test_whole_clip_vae_equals_the_hosts_chunks(host, num_frames):
    ours = _shake(WanVAE(), 0)
    theirs = _host_vae(ours.state_dict())
    frames = torch.rand(1, 3, num_frames, 32, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        latent = ours.encode(frames)
        torch.testing.assert_close(latent, theirs.encode(frames), atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(ours.decode(latent), theirs.decode(latent), atol=2e-5, rtol=1e-4)


def test_latent_scale_is_folded_in_without_a_change_of_the_picture():
    vae = _shake(WanVAE(), 3)
    frames = torch.rand(1, 3, 5, 32, 32, generator=torch.Generator().manual_seed(4)) * 2 - 1
    with torch.no_grad():
        before = vae.encode(frames)
        picture = vae.decode(before)
        fold_latent_statistics(vae, before.mean((0, 2, 3, 4)), before.std((0, 2, 3, 4)))
        torch.testing.assert_close(vae.decode(vae.encode(frames)), picture, atol=1e-4, rtol=1e-3)


def _loaders() -> dict:
    return {
        "model": {"class_type": "UNETLoader", "inputs": {"unet_name": DIT_FILE.name, "weight_dtype": "default"}},
        "vae": {"class_type": "VAELoader", "inputs": {"vae_name": VAE_FILE.name}},
        "clip": {"class_type": "VMT_DemoTextEncoder", "inputs": {}},
    }


def test_stock_loader_detects_the_demo_dit(executor):
    got = executor.run(_loaders(), want={"model": ["model", 0]}).got["model"]
    config = got.model.model_config.unet_config
    assert (config["image_model"], config["model_type"]) == ("wan2.1", "t2v")
    assert config["num_heads"] >= 3 and config["num_layers"] >= 6 and config["dim"] == 128 * config["num_heads"]


@pytest.mark.parametrize("few_steps", [False, True])
def test_stock_loaders_give_the_weights_own_velocity(executor, few_steps):
    """The host's model, prompt encoder, LoRA and all, predicts what the training class predicts from the same files."""
    graph = _loaders()
    graph["lora"] = {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"model": ["model", 0], "lora_name": FEW_STEPS_FILE.name, "strength_model": float(few_steps)},
    }
    graph["text"] = {
        "class_type": "CLIPTextEncode",
        "inputs": {"clip": ["clip", 0], "text": "a red star on a plain navy ground"},
    }
    got = executor.run(graph, want={"model": ["lora", 0], "text": ["text", 0]}).got
    plain = load_dit(WEIGHTS / DIT_FILE)
    ours = add_lora(load_dit(WEIGHTS / DIT_FILE), WEIGHTS / FEW_STEPS_FILE, float(few_steps))
    x = torch.randn(1, 16, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        text = got["text"][0][0]
        torch.testing.assert_close(text, encode("a red star on a plain navy ground")[0][None])
        import comfy.model_management

        comfy.model_management.load_models_gpu([got["model"]])
        expected = got["model"].model.diffusion_model(x, torch.tensor([800.0]), text)
        said = ours(x, torch.tensor([800.0]), text)
        changed = (said - plain(x, torch.tensor([800.0]), text)).abs().max()
    torch.testing.assert_close(said, expected, atol=2e-3 if few_steps else 1e-4, rtol=1e-3)  # float16 in the host
    assert (changed > 0.02) == few_steps


@pytest.mark.parametrize("rope", ["pre", "post"])
def test_host_free_figures_read_the_queries_and_keys_that_the_node_reads(executor, rope):
    sigma, clean = 0.5, torch.randn(1, 16, 3, 16, 16, generator=torch.Generator().manual_seed(7))
    graph = _loaders()
    graph["text"] = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["clip", 0], "text": ""}}
    graph["seen"] = {
        "class_type": "VMT_WindowedInversion",
        "inputs": {
            "model": ["model", 0], "reference": ["reference", 0], "positive": ["text", 0], "mode": "noised_reference",
            "sigma": sigma, "blocks": "0, 4", "noise_seed": 3, "steps": 1, "rope": rope,
        },
    }  # fmt: skip
    mean, std = latent_scale("cpu")
    given = {"reference": {"samples": clean * std + mean}}
    node = executor.run(graph, want={"seen": ["seen", 0]}, give=given).got["seen"]
    noised = torch.lerp(clean, seeded_noise(tuple(clean.shape), 3), sigma)
    seen = tapped(load_dit(WEIGHTS / DIT_FILE), noised, sigma)[rope]
    for block in (0, 4):
        torch.testing.assert_close(seen[block][0], node.queries[block], atol=2e-3, rtol=1e-3)
        torch.testing.assert_close(seen[block][1], node.keys[block], atol=2e-3, rtol=1e-3)


def test_stock_loader_gives_the_vaes_own_pixels(executor):
    vae = executor.run(_loaders(), want={"vae": ["vae", 0]}).got["vae"]
    ours = load_vae(WEIGHTS / VAE_FILE)
    frames = torch.rand(5, 64, 64, 3, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        latent = vae.encode(frames)
        theirs = vae.decode(latent)[0]
        mine = ours.decode(ours.encode((frames * 2 - 1).movedim(-1, 0)[None]))[0].movedim(0, -1)
        torch.testing.assert_close(theirs, (mine / 2 + 0.5).clamp(0, 1), atol=2e-3, rtol=0)


def test_all_weights_together_are_small():
    assert sum(file.stat().st_size for file in WEIGHTS.rglob("*.safetensors")) <= 50 * 2**20


def test_ancestral_samples_are_the_hosts(host):
    """With the same noise the way is that of the host's euler_ancestral for flow matching."""
    from comfy.k_diffusion.sampling import sample_euler_ancestral_RF

    x, target = torch.randn(2, 1, 16, 3, 4, 4, generator=torch.Generator().manual_seed(3))

    def said(x, sigma, context):
        return (x - 0.7 * target) / sigma.reshape(-1, 1, 1, 1, 1) + 0.1 * x

    def fresh(generator):
        return lambda *levels: torch.randn(x.shape, generator=generator)

    ours = euler(said, x, torch.zeros(2, 1, 1), 6, 1.0, 5.0, fresh=fresh(torch.Generator().manual_seed(4)))
    theirs = sample_euler_ancestral_RF(
        lambda x, sigma: x - sigma.reshape(-1, 1, 1, 1, 1) * said(x, sigma, None), x, shifted_sigmas(6, 5.0),
        disable=True, noise_sampler=fresh(torch.Generator().manual_seed(4)),
    )  # fmt: skip
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
