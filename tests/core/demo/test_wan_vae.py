import pytest
import torch

from vmt.demo.train_vae import channels_last
from vmt.demo.wan_vae import LATENT_MEAN, LATENT_STD, WanVAE, fold_latent_statistics


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    vae = WanVAE(4)
    with torch.no_grad():
        for parameter in vae.parameters():
            if parameter.ndim == 1:
                parameter.normal_(std=0.05)
        for part in (vae.encoder, vae.decoder):
            part.middle[1].proj.weight.normal_(std=0.05)
    return vae.eval().requires_grad_(False)


def clip(frames, size=32, seed=0):
    return torch.rand(1, 3, frames, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("frames", "latent_frames"), [(1, 1), (5, 2), (9, 3), (17, 5)])
def test_shapes(vae, frames, latent_frames):
    latent = vae.encode(clip(frames))
    assert latent.shape == (1, 16, latent_frames, 4, 4)
    assert vae.decode(latent).shape == (1, 3, frames, 32, 32)


def test_encoder_sees_no_later_frame(vae):
    frames = clip(17)
    whole, start = vae.encode(frames), vae.encode(frames[:, :, :9])
    torch.testing.assert_close(whole[:, :, :3], start, atol=1e-5, rtol=0)
    frames[:, :, 9:] += 0.5
    torch.testing.assert_close(vae.encode(frames)[:, :, :3], start, atol=1e-5, rtol=0)
    assert (vae.encode(frames)[:, :, 3] - whole[:, :, 3]).abs().max() > 1e-4
    torch.testing.assert_close(vae.encode(frames[:, :, :1]), whole[:, :, :1], atol=1e-5, rtol=0)


def test_decoder_sees_no_later_latent(vae):
    latent = torch.randn(1, 16, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    whole = vae.decode(latent)
    torch.testing.assert_close(vae.decode(latent[:, :, :2]), whole[:, :, :5], atol=1e-5, rtol=0)
    torch.testing.assert_close(vae.decode(latent[:, :, :1]), whole[:, :, :1], atol=1e-5, rtol=0)
    latent[:, :, 2] += 1
    changed = (vae.decode(latent) - whole).abs().amax((0, 1, 3, 4))
    assert changed[:5].max() < 1e-5 and changed[5:9].min() > 1e-4


def test_folding_moves_the_latents_scale_and_nothing_else(vae):
    torch.manual_seed(0)
    folded = WanVAE(4)
    folded.load_state_dict(vae.state_dict())
    frames = torch.cat([clip(5, seed=i) for i in range(6)])
    before = vae.encode(frames)
    mean, std = before.mean((0, 2, 3, 4)), before.std((0, 2, 3, 4))
    fold_latent_statistics(folded, mean, std)
    latent = folded.encode(frames)
    torch.testing.assert_close(latent.mean((0, 2, 3, 4)), torch.tensor(LATENT_MEAN), atol=1e-3, rtol=0)
    torch.testing.assert_close(latent.std((0, 2, 3, 4)), torch.tensor(LATENT_STD), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(folded.decode(latent), vae.decode(before), atol=1e-4, rtol=1e-3)


def test_memory_layout_changes_no_value(vae):
    torch.manual_seed(0)
    other = WanVAE(4)
    other.load_state_dict(vae.state_dict())
    torch.testing.assert_close(channels_last(other).encode(clip(5)), vae.encode(clip(5)), atol=1e-5, rtol=0)
    assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), vae.state_dict().values(), strict=True))
