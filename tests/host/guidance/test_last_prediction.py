"""The clip that the sampler's last call predicted, as the next noise level shows it."""

import pytest
import torch

from vmt.flow_matching import velocity_from_clean

STEPS = 6


def seen(pack, level=0.9):
    """A look at one call of a sampler: x, what the positive prompt and both prompts predict."""
    last = pack("nodes.host.last_prediction").LastPrediction()
    generator = torch.Generator().manual_seed(0)
    x, prompt, guided = torch.randn(3, 2, 4, 3, 6, 6, generator=generator)
    last._look({"input": x, "sigma": torch.full((2,), level), "cond_denoised": prompt, "denoised": guided})
    return last, x, prompt, guided


def test_after_an_euler_step_it_is_the_velocity_of_the_positive_prompt(pack):
    last, x, prompt, guided = seen(pack)
    after = guided + (0.8 / 0.9) * (x - guided)
    sigma = torch.tensor(0.8)
    assert torch.allclose(velocity_from_clean(after, last.clean_at(sigma), sigma), (x - prompt) / 0.9, atol=1e-5)


def test_new_noise_has_no_part_in_the_clip(pack):
    """Of a latent whose noise was exchanged, the velocity leads to the same clip."""
    last, x, prompt, guided = seen(pack)
    sigma = torch.tensor(0.8)
    clean = last.clean_at(sigma)
    for noise in torch.randn(2, *x.shape, generator=torch.Generator().manual_seed(1)):
        renoised = 0.2 * guided + 0.8 * noise
        velocity = velocity_from_clean(renoised, last.clean_at(sigma), sigma)
        assert torch.allclose(renoised - sigma * velocity, clean, atol=1e-5)
    assert torch.equal(last.clean_at(torch.tensor(0.9)), prompt)


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
def test_guided_runs_look_at_what_was_predicted(sample, graph, pack, monkeypatch, sampler):
    """The latent flow of a guided step is read in a clip without noise, whichever noise the sampler has put in."""
    latent_guidance, clips = pack("nodes.host.latent_guidance"), []
    original = latent_guidance.latent_flow_loss

    def note(flow, clip, mask=None):
        clips.append(clip.detach().clone())
        return original(flow, clip, mask)

    monkeypatch.setattr(latent_guidance, "latent_flow_loss", note)
    predicted = []

    def keep(args):
        predicted.append((args["cond_denoised"].clone(), args["denoised"].clone(), args["sigma"].clone()))
        return args["denoised"]

    model = sample(graph.loader(), want=("model", 0)).clone()
    model.set_model_sampler_post_cfg_function(keep)
    parts = graph.amf(model=("seen", 0)), graph.guidance(model=("seen", 0), preset="free", strength=0.0004)
    sample(*parts, graph.ksampler(sampler_name=sampler, steps=STEPS), give={"seen": model})
    assert len(clips) >= 4 and len(predicted) == STEPS
    prompt, guided, level = predicted[0]
    at = predicted[1][2]
    assert (clips[0] - (prompt + (1 - at / level) * (guided - prompt))).abs().max() < 1e-4
