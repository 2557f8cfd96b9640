from functools import partial

import pytest
import torch

from vmt.demo.sampling import clean_latent, decode, euler, load_dit, load_vae, renoised, sample
from vmt.demo.train_dit import velocity
from vmt.demo.train_vae import save_half
from vmt.demo.vocabulary import encode
from vmt.demo.wan_dit import WanDiT, WanShape
from vmt.demo.wan_vae import WanVAE
from vmt.errors import InputError


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return WanVAE(4).eval().requires_grad_(False)


class Perfect(torch.nn.Module):
    """Knows the clean latent of a prompt (`wanted`) and of the empty one (`unguided`) and points straight at it."""

    def __init__(self, wanted, unguided):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.null, self.wanted, self.unguided = encode("")[0], wanted, unguided
        self.calls, self.asked = [], []

    def forward(self, x, timestep, context):
        self.calls.append(timestep[0].item())
        self.asked.append(len(x))
        is_null = (context == self.null).all((1, 2))[:, None, None, None, None]
        clean = torch.where(is_null, self.unguided, self.wanted)
        return (x - clean) / (timestep.view(-1, 1, 1, 1, 1) / 1000)


@pytest.fixture(scope="module")
def perfect():
    generator = torch.Generator().manual_seed(0)
    wanted, unguided = (torch.randn(1, 16, 2, 4, 4, generator=generator) for _ in range(2))
    return lambda: Perfect(wanted, unguided)


@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("steps", [1, 5])
def test_euler_and_guidance_land_where_the_velocity_points(vae, perfect, cfg, steps):
    dit = perfect()
    frames = sample(dit, vae, ["a red circle"], steps, cfg, num_frames=5, size=32)
    expected = decode(vae, dit.unguided + cfg * (dit.wanted - dit.unguided))
    assert frames.shape == (1, 5, 32, 32, 3) and frames.dtype == torch.float32
    torch.testing.assert_close(frames, expected, atol=0.02, rtol=0)  # decoded in bfloat16
    assert len(dit.calls) == steps and dit.calls[0] == 1000
    assert dit.asked == [1 if cfg == 1 else 2] * steps, "without guidance the null prompt is not asked"


def test_ancestral_steps_keep_the_noise_level(vae, perfect):
    """By a model that knows the clean latent, x at every level is that latent under as much noise as the level says."""
    dit, levels = perfect(), []
    wanted = torch.zeros(1, 16, 9, 16, 16)
    dit.wanted, dit.unguided = wanted, wanted
    original = dit.forward

    def note(x, timestep, context):
        levels.append((timestep[0].item() / 1000, x[:1].std().item()))
        return original(x, timestep, context)

    dit.forward = note
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(wanted.shape, generator=generator)
    said = partial(velocity, dit)
    context = torch.stack([encode("a red circle")[0], encode("")[0]])
    end = euler(said, x, context, 8, 4.0, 5.0, fresh=lambda: torch.randn(x.shape, generator=generator))
    assert len(levels) == 8 and end.abs().max() < 1e-4
    for level, found in levels:
        assert found == pytest.approx(level, rel=0.02)


def test_ancestral_clips_are_others_and_the_same_in_any_batch(vae):
    torch.manual_seed(1)
    dit = WanDiT(WanShape(128, 128, 1))
    with torch.no_grad():
        dit.head.head.weight.normal_(std=0.02)

    def draw(num, seed, ancestral=True):
        return sample(dit, vae, ["a red circle"] * num, 3, num_frames=5, size=32, seed=seed, ancestral=ancestral)

    both = draw(2, 7)
    torch.testing.assert_close(draw(1, 8)[0], both[1], atol=0.02, rtol=0)
    assert torch.equal(draw(2, 7), both)
    assert (draw(2, 7, False) - both).abs().max() > 0.1


def test_renoised_is_what_the_level_has():
    clean, old, new = torch.randn(3, 200_000, generator=torch.Generator().manual_seed(0)).double()
    x = renoised(0.3 * clean + 0.7 * old, 0.7, 0.9, new)
    assert (x - 0.1 * clean).std().item() == pytest.approx(0.9, rel=0.01)
    assert (x * clean).mean().item() == pytest.approx(0.1, abs=0.01)


def test_schedule_is_shifted(vae, perfect):
    dit = perfect()
    sample(dit, vae, ["a red circle"], 4, shift=5.0, num_frames=5, size=32)
    assert dit.calls == pytest.approx([1000 * 5 * s / (1 + 4 * s) for s in (1, 0.75, 0.5, 0.25)])


def test_clip_depends_on_its_seed_and_caption_not_on_its_batch(vae):
    torch.manual_seed(1)
    dit = WanDiT(WanShape(128, 128, 1))
    with torch.no_grad():
        dit.head.head.weight.normal_(std=0.02)
        dit.blocks[0].cross_attn.o.weight.normal_(std=0.1)

    def draw(captions, seed):
        return sample(dit, vae, captions, 2, num_frames=5, size=32, seed=seed)

    red, blue = "a red circle on a plain teal ground", "a blue star on a tiled grey ground"
    both = draw([red, blue], 7)
    torch.testing.assert_close(draw([red], 7)[0], both[0], atol=0.02, rtol=0)
    torch.testing.assert_close(draw([blue], 8)[0], both[1], atol=0.02, rtol=0)
    assert (draw([red], 8)[0] - both[0]).abs().max() > 0.1
    assert torch.equal(draw([red, blue], 7), both)


def test_decoding_undoes_encoding_and_its_scale():
    torch.manual_seed(0)
    vae = channel_mean_vae()
    frames = torch.rand(1, 1, 16, 16, 3)
    out = decode(vae, clean_latent(vae, frames))
    assert out.shape == frames.shape and out.min() >= 0 and out.max() <= 1
    torch.testing.assert_close(out.mean((1, 2, 3)), frames.mean((1, 2, 3)), atol=0.01, rtol=0)


def channel_mean_vae():
    """Stands in for a VAE: 8x8 means into the first three channels, and back."""

    class Means(torch.nn.Module):
        def encode(self, x):
            small = torch.nn.functional.avg_pool3d(x, (1, 8, 8))
            return torch.cat([small, small.new_zeros(1, 13, *small.shape[2:])], 1)

        def decode(self, z):
            return torch.nn.functional.interpolate(z[:, :3], scale_factor=(1, 8, 8))

    return Means()


def test_sizes_are_read_from_the_file(tmp_path):
    torch.manual_seed(0)
    dit, vae = WanDiT(WanShape(width=256, ffn=384, blocks=3)), WanVAE(4)
    save_half(dit, tmp_path / "dit.safetensors", {})
    save_half(vae, tmp_path / "vae.safetensors", {})
    loaded = load_dit(tmp_path / "dit.safetensors")
    assert (loaded.shape.width, loaded.shape.ffn, loaded.shape.blocks, loaded.shape.heads) == (256, 384, 3, 2)
    for module, again in ((dit, loaded), (vae, load_vae(tmp_path / "vae.safetensors"))):
        assert not again.training and not any(p.requires_grad for p in again.parameters())
        for name, tensor in again.state_dict().items():
            assert torch.equal(tensor, module.state_dict()[name].half().float()), name


@pytest.mark.parametrize(
    ("captions", "frames", "size"), [([], 5, 32), (["a red circle"], 6, 32), (["a red circle"], 5, 40)]
)
def test_bad_input_is_refused(vae, perfect, captions, frames, size):
    with pytest.raises(InputError, match=r"4n\+1 frames and a multiple of 16 are needed"):
        sample(perfect(), vae, captions, 1, num_frames=frames, size=size)


def test_missing_weights_say_how_to_make_them(tmp_path):
    for load in (load_dit, load_vae):
        with pytest.raises(InputError, match="vmt train demo"):
            load(tmp_path / "none.safetensors")
