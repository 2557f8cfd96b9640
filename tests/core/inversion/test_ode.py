import math

import pytest
import torch

from vmt.errors import InputError, StateError
from vmt.inversion.ode import integrate, inversion_sigmas


def curved(x, sigma):
    """A flow whose exact solution is known: dx/ds = x cos(3 s) leads from c to c exp(sin(3 s) / 3)."""
    return x * math.cos(3 * sigma)


CLEAN = torch.randn(1, 16, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_known_answer_and_order():
    exact = CLEAN * math.exp(math.sin(3 * 0.6) / 3)
    errors = [
        (integrate(CLEAN, curved, torch.linspace(0, 0.6, steps + 1).tolist()) - exact).abs().max().item()
        for steps in (20, 40)
    ]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)


def test_forward_then_reverse_error_falls_with_steps():
    errors = []
    for steps in (10, 20, 40):
        sigmas = inversion_sigmas(steps, 0.95, shift=5.0)
        back = integrate(integrate(CLEAN, curved, sigmas), curved, sigmas.flip(0))
        errors.append((back - CLEAN).norm().item())
    assert errors[0] > 1.8 * errors[1] > 1.8**2 * errors[2] > 0


def test_sigmas_rise_from_clean_to_the_asked_level():
    sigmas = inversion_sigmas(30, 0.96, shift=7.0)
    assert len(sigmas) == 31 and sigmas[0] == 0 and (sigmas.diff() > 0).all()
    assert sigmas[-1].item() == pytest.approx(0.96, abs=1e-6)


def test_velocity_sees_the_level_it_is_asked_for_and_progress_is_told():
    seen, told = [], []

    def velocity(x, sigma):
        seen.append(sigma)
        return torch.zeros_like(x)

    x = integrate(CLEAN, velocity, [0, 0.25, 1.0], callback=told.append)
    assert seen == [0, 0.25] and [(step["i"], step["num_steps"], step["sigma"]) for step in told] == [
        (0, 2, 0.25),
        (1, 2, 1.0),
    ]
    assert torch.equal(x, CLEAN) and told[-1]["x"] is x


def test_half_precision_is_integrated_in_float32():
    small = torch.full((1, 1), 1.0, dtype=torch.bfloat16)
    x = integrate(small, lambda x, sigma: torch.full_like(x, 0.01), torch.linspace(0, 1, 101))
    assert x.dtype == torch.float32 and x.item() == pytest.approx(1.01, abs=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: integrate(CLEAN, curved, [0.0]), "at least two"),
        (lambda: integrate(CLEAN, curved, [0.0, 0.5, 0.2]), "strictly rising or falling"),
        (lambda: integrate(CLEAN, curved, [0.0, 1.5]), "within 0..1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_nan_from_the_model_is_reported_with_its_level():
    with pytest.raises(StateError, match=r"noise level 0\.500"):
        integrate(CLEAN, lambda x, sigma: x * (math.nan if sigma == 0.5 else 0.0), [0.0, 0.5, 0.9])
