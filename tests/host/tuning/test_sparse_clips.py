"""What of a clip is encoded and learned from."""

import pytest
import torch


@pytest.fixture
def encoded(pack, executor, graph):
    """encoded(frames, number of clips, **settings) -> what `encode_clips` makes of them, and the VAE."""

    def run(frames, number=1, **settings):
        nodes = {"vae": graph.node("VAELoader", vae_name="vmt_demo_wan_vae.safetensors")}
        vae = executor.run(nodes, want={"vae": ["vae", 0]}).got["vae"]
        clips = pack("nodes.host.tuning_clips")
        config = pack("vmt.lora.presets").TunerConfig(
            **{"spatial_steps": 0, "half_steps": 0, "temporal_steps": 5, **settings}
        )
        with torch.inference_mode():
            lots = [clips.CaptionedClip(frames.roll(n, -1), []) for n in range(number)]
            return clips.encode_clips(vae, lots, config, seed=0), vae

    return run


@pytest.fixture(scope="module")
def frames():
    return torch.rand((29, 32, 32, 3), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_thinned_out_latents_are_those_of_the_whole_clip(encoded, frames, stride):
    clips, vae = encoded(frames, 2, stride=stride)
    assert clips.captions == [0, 1]
    for number, latent in enumerate(clips.sparse):
        with torch.inference_mode():
            whole = vae.encode(frames.roll(number, -1))
        assert torch.equal(latent, whole[:, :, ::stride])
    assert clips.scale_t == clips.ends_scale_t == stride


@pytest.mark.parametrize("sparse", ["latents", "frames"])
def test_whole_clips_are_there_for_half_size_alone(encoded, frames, sparse):
    clips, vae = encoded(frames, 2, stride=2, sparse=sparse, half_steps=5, temporal_steps=0)
    assert len(clips.whole) == 2 and len(clips.sparse) == 1, "by one thinned-out clip heads are told apart"
    for number, latent in enumerate(clips.whole):
        with torch.inference_mode():
            assert torch.equal(latent, vae.encode(frames.roll(number, -1)))
    clips, _ = encoded(frames, 2, stride=2, sparse=sparse, half_steps=0)
    assert clips.whole == []


@pytest.mark.parametrize("sparse", ["latents", "frames"])
def test_of_further_clips_a_look_alone_encodes_nothing(encoded, frames, sparse, monkeypatch):
    import comfy.sd

    encode, seen = comfy.sd.VAE.encode, []
    monkeypatch.setattr(comfy.sd.VAE, "encode", lambda vae, pixels: seen.append(pixels) or encode(vae, pixels))
    clips, _ = encoded(frames, 2, stride=2, sparse=sparse, spatial_steps=5, stills=1, temporal_steps=0)
    assert len(clips.sparse) == 1 and clips.captions == [0]
    further = frames.roll(1, -1)
    assert seen and not any(torch.equal(pixels, further[: len(pixels)]) for pixels in seen)
    assert len(seen) == {"latents": 2, "frames": 3}[sparse], "the whole reference, one still, and what is thinned out"


def test_thinned_out_frames_are_encoded_by_themselves(encoded, frames):
    clips, vae = encoded(frames, 2, stride=2, sparse="frames", rope="none")
    assert clips.captions == [0, 1] * 3, "three phases"
    assert {latent.shape[2] for latent in clips.sparse} == {5}
    with torch.inference_mode():
        whole = vae.encode(frames)
    assert not torch.allclose(clips.sparse[0][:, :, 1], whole[:, :, 2], atol=0.01)
    assert (clips.scale_t, clips.ends_scale_t) == (1, 7 / 4)
