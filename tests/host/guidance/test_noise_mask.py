"""Guidance beside a part of the video that is given and stays: it must see that part as the model does."""

from types import SimpleNamespace

import pytest
import torch

from vmt.launch.run_result import NodeFailed


@pytest.fixture(params=["Wan 2.1", "Wan 2.2 5B"])
def wan(request, graph, sample, other_wan):
    """A model, its latent's channels, and how it sees the given video at a noise level: noised, or clean."""
    if request.param == "Wan 2.1":
        loader, channels, sees = graph.loader(), 16, lambda given, noise, level: (1 - level) * given + level * noise
    else:
        loader, channels, sees = graph.loader(other_wan("5b")), 48, lambda given, noise, level: given
    return SimpleNamespace(loader=loader, model=sample(loader, want=("model", 0)), channels=channels, sees=sees)


@pytest.fixture
def clip(wan):
    """A latent that moves, and the first frame's mask: its first frame stays."""
    still = torch.randn(1, wan.channels, 1, 8, 12, generator=torch.Generator().manual_seed(2))
    latent = torch.cat([still[..., t : t + 8] for t in (0, 2, 4)], 2)
    mask = torch.ones(1, 1, 3, 8, 8)
    mask[:, :, 0] = 0
    return latent, mask


@pytest.fixture
def amf(wan, sample, graph, clip):
    prompts = {"reference": {"samples": clip[0]}}
    return sample(wan.loader, graph.amf(), want=("amf", 0), give=prompts)


def test_latent_flow_reads_the_given_part_clean(wan, clip, amf, inside, pack):
    """A model that predicts the reference itself is no further from it, whatever noise the given part is in."""
    guidance, (latent, mask) = pack("nodes.host.latent_guidance"), clip
    held = guidance.attach_latent_guidance(wan.model, amf.latent, pack("vmt.guidance.config").GuidanceConfig())
    engine = next(iter(held.get_wrappers("sampler_sample", "vmt_motion_guidance"))).__self__

    def look(sampled, x, sigmas, extra_args):
        with torch.inference_mode(False):
            clean, noise = sampled.latent_image.clone(), torch.randn(x.shape)
            video = 0.1 * clean + 0.9 * noise
            still = clean.mean(2, keepdim=True).expand_as(clean)
            full = mask.expand_as(clean).clone()
            video[:, :, 0] = torch.randn(video[:, :, 0].shape)  # a sampler's own, later noise
            losses = []
            for predicted in (clean, still):
                loss = engine.loss_function(sampled, video, sigmas[0].clone(), {}, full, (video - predicted) / 0.9)
                losses.append(float(loss(video)))
        return losses

    same, other = inside(wan.model, look, latent=latent, denoise_mask=mask)
    assert same < 1e-9 and other > 1e-4


@pytest.mark.parametrize("size", ["full", "half"])
@pytest.mark.parametrize("own_pass", [False, True])
def test_attention_is_shown_the_given_part_as_the_model_sees_it(
    wan, clip, amf, inside, pack, monkeypatch, size, own_pass
):
    guidance, (latent, mask) = pack("nodes.host.attention_guidance"), clip
    config = pack("vmt.guidance.config").GuidanceConfig(size=size)
    held = guidance.attach_attention_guidance(wan.model, amf, config, "none")
    engine = next(iter(held.get_wrappers("sampler_sample", "vmt_motion_guidance"))).__self__
    shown, capture = [], guidance.capture_queries_keys

    def watch(model, prompts, x, at, *rest):
        shown.append((x.detach().clone(), float(at[0])))
        return capture(model, prompts, x, at, *rest)

    monkeypatch.setattr(guidance, "capture_queries_keys", watch)

    def look(sampled, x, sigmas, extra_args):
        grads = pack("nodes.host.gradients")
        with grads.grad_scope(copy_staged=False):
            video, full = x.clone(), mask.expand_as(x).clone()
            video[:, :, 0] = 5.0
            velocity = None if own_pass else torch.zeros_like(video)
            options = extra_args["model_options"]
            loss = engine.loss_function(sampled, video, sigmas[0].clone(), options, full, velocity, "none")
            gradient = torch.autograd.grad(loss(video.requires_grad_()).sum(), video)[0]
        return sampled.latent_image.clone(), sampled.noise.clone(), gradient

    given, noise, gradient = inside(wan.model, look, latent=latent, denoise_mask=mask)
    ((x, level),) = shown
    if size == "half":
        pool = torch.nn.functional.avg_pool3d
        given, noise = pool(given, (1, 2, 2)), 2 * pool(noise, (1, 2, 2))
    assert torch.allclose(x[:, :, 0], wan.sees(given, noise, level)[:, :, 0], atol=1e-5)
    assert gradient[:, :, 0].abs().max() == 0 < gradient[:, :, 1:].abs().max()


def test_step_size(inside, model, flow, pack):
    """The update is zero under the mask and has the RMS of `strength` beside it."""
    sampling = pack("nodes.host.attention_guidance")
    config = pack("vmt.guidance.config").GuidanceConfig(strength=0.05, inner_steps=1)
    skip = pack("vmt.guidance.gradient_skip").GradientSkip()
    engine = sampling.AttentionGuidance(sampling.normal_flow(flow), config, None, sampling.check_wan(model), "none")
    mask = torch.zeros(1, 1, 1, 8, 8)
    mask[..., :2] = 1

    def look(sampled, x, sigmas, extra_args):
        return engine._guided_step(sampled, x, sigmas[0], extra_args, skip, "test") - x

    update = inside(model, look, denoise_mask=mask.expand(1, 16, 3, 8, 8))
    assert update[..., 2:].abs().max() == 0
    assert update[..., :2].square().mean().sqrt().item() == pytest.approx(0.05, rel=1e-3)


def test_each_video_of_a_batch_has_its_own_step(inside, model, pack):
    """Both move by `strength` where they are free, one in a whole video, the other in a hundredth."""
    noise_mask, optimize = pack("nodes.host.noise_mask"), pack("vmt.guidance.optimize_latent").optimize_latent
    config = pack("vmt.guidance.config").GuidanceConfig(strength=0.05, inner_steps=1)
    mask = torch.ones(2, 1, 1, 10, 10)
    mask[1] = 0
    mask[1, ..., 0, 0] = 1
    x = torch.zeros(2, 3, 4, 10, 10)
    moved = optimize(x, lambda y: ((y - 1) * mask).square().sum((1, 2, 3, 4)), config, free=noise_mask.free_share(mask))
    rms = [part[part != 0].square().mean().sqrt().item() for part in moved]
    assert rms == pytest.approx([0.05, 0.05], rel=1e-4)


def test_differential_diffusion(sample, graph, given):
    """The host's own node changes the mask from step to step; it is asked in the host's own way."""
    mask = torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    give = {"masked": {**given["reference"], "noise_mask": mask}}
    patch = {"soft": graph.node("DifferentialDiffusion", model=["model", 0], strength=1.0)}
    parts = graph.loader(), patch, graph.amf(), graph.guidance(("soft", 0), preset="quality", strength=0.04)
    plain = sample(graph.loader(), patch, graph.ksampler(("soft", 0), latent_image=["masked", 0]), give=give)
    moved = sample(*parts, graph.ksampler(latent_image=["masked", 0]), give=give)
    assert torch.isfinite(moved).all() and (moved - plain).abs().max() > 0.01
    assert (moved - given["reference"]["samples"])[..., 0].abs().max() < 1e-3


def test_a_mask_that_keeps_everything_leaves_nothing_to_guide(sample, graph, given, caplog):
    caplog.set_level("INFO")
    give = {"masked": {**given["reference"], "noise_mask": torch.zeros(1, 1, 8, 8)}}
    guided = sample(
        graph.loader(), graph.amf(), graph.guidance(), graph.ksampler(latent_image=["masked", 0]), give=give
    )
    assert (guided - given["reference"]["samples"]).abs().max() < 1e-3


def test_first_frame_of_wan_22_5b(sample, graph, other_wan, caplog):
    """Image to video as that model has it, through a whole run by each preset."""
    latent = torch.randn(1, 48, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    mask = torch.ones(1, 1, 3, 8, 8)
    mask[:, :, 0] = 0
    give = {
        "reference": {"samples": latent},
        "empty": {"samples": torch.cat([latent[:, :, :1], torch.zeros_like(latent[:, :, 1:])], 2), "noise_mask": mask},
    }
    loader = graph.loader(other_wan("5b"))
    plain = sample(loader, graph.ksampler(("model", 0)), give=give)
    for preset in ("free", "balanced", "quality"):
        guidance = graph.guidance(preset=preset, strength=0.04)
        moved = sample(loader, graph.amf(), guidance, graph.ksampler(), give=give)
        assert (moved[:, :, 0] - latent[:, :, 0]).abs().max() < 1e-3
        assert torch.isfinite(moved).all() and (moved - plain)[:, :, 1:].abs().max() > 0.01


def test_hooks_of_other_weights_are_refused(sample, graph, given):
    """One gradient through prompts whose weights the host exchanges in between would meet the wrong ones."""
    import comfy.hooks

    one, other = (comfy.hooks.create_hook_lora({}, strength_model=1.0, strength_clip=1.0) for _ in range(2))
    text = given["positive"][0][0]
    parts = graph.loader(), graph.amf(), graph.guidance(), graph.ksampler()
    with pytest.raises(NodeFailed, match="2 prompts with different LoRA hooks"):
        sample(*parts, give={"positive": [[text, {"hooks": one}], [text, {"hooks": other}]]})
    latent = sample(*parts, give={"positive": [[text, {"hooks": one}], [text, {"hooks": one.clone()}]]})
    assert torch.isfinite(latent).all()


def test_a_hook_whose_strength_changes_is_refused(sample, graph, given):
    """A pass at a lower noise level would make the host go on to the strength that is due there."""
    import comfy.hooks

    hooks = comfy.hooks.create_hook_lora({}, strength_model=1.0, strength_clip=1.0)
    frames = comfy.hooks.HookKeyframeGroup()
    for start in (0.0, 0.5):
        frames.add(comfy.hooks.HookKeyframe(strength=1 - start, start_percent=start))
    hooks.set_keyframes_on_hooks(frames)
    give = {"positive": [[given["positive"][0][0], {"hooks": hooks}]]}
    with pytest.raises(NodeFailed, match=r"strength changes while sampling.* preset free"):
        sample(graph.loader(), graph.amf(), graph.guidance(), graph.ksampler(), give=give)
    free = sample(graph.loader(), graph.amf(), graph.guidance(preset="free"), graph.ksampler(), give=give)
    assert torch.isfinite(free).all()
