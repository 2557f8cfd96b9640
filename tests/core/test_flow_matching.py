import pytest
import torch

from vmt import flow_matching
from vmt.errors import InputError


@pytest.mark.parametrize("sigma", [0.3, 1.0, torch.tensor(0.4).double(), torch.tensor([0.2, 0.9]).double()])
def test_velocity_to_a_clean_latent(sigma):
    clean, noise = torch.randn(2, 2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = flow_matching.noised(clean, noise, sigma)
    torch.testing.assert_close(flow_matching.velocity_from_clean(x, clean, sigma), noise - clean)


def test_one_level_per_sample_equals_one_by_one():
    clean, noise = torch.randn(2, 3, 4, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    together = flow_matching.noised(clean, noise, torch.tensor([0.1, 0.5, 0.9]))
    for sample, sigma in enumerate((0.1, 0.5, 0.9)):
        torch.testing.assert_close(together[sample], flow_matching.noised(clean[sample], noise[sample], sigma))


def test_shifted_start_levels_of_the_published_setting():
    # Shift 7; the last but one step of a linear schedule from these strengths starts at these noise levels.
    for strength, sigma in {0.75: 0.9545, 0.82: 0.9696, 0.88: 0.9809, 0.92: 0.9877, 1.0: 1.0}.items():
        assert flow_matching.shift_sigma(strength, 7.0) == pytest.approx(sigma, abs=5e-5)


@pytest.mark.parametrize("strength", [0.75, 0.92, 1.0])
def test_schedule(strength):
    sigmas = flow_matching.shifted_sigmas(50, 7.0, start=strength)
    assert sigmas.dtype == torch.float32 and len(sigmas) == 51
    assert (sigmas.diff() < 0).all() and sigmas[-1] == 0
    assert sigmas[0].item() == pytest.approx(flow_matching.shift_sigma(strength, 7.0), abs=1e-7)
    torch.testing.assert_close(
        flow_matching.unshift_sigma(sigmas.double(), 7.0), torch.linspace(strength, 0, 51).double(), atol=1e-6, rtol=0
    )


def test_seeded_noise_is_one_per_seed_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    first, again, other = (flow_matching.seeded_noise((2, 16, 3, 8, 8), seed) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.dtype == torch.float32 and first.device.type == "cpu"
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("given", [(0, 5.0, 1.0, 0.0), (10, 0.0, 1.0, 0.0), (10, 5.0, 1.2, 0.0), (10, 5.0, 0.5, 0.5)])
def test_schedules_that_make_no_sense_are_refused(given):
    with pytest.raises(InputError, match=r"two different ends within 0\.\.1"):
        flow_matching.shifted_sigmas(*given)
