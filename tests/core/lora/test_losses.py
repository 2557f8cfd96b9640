"""What tuning minimises."""

import pytest
import torch

from vmt.errors import InputError
from vmt.lora.losses import direction_loss, level_weights, sigma_levels

TARGET = torch.randn(2, 16, 5, 3, 4, generator=torch.Generator().manual_seed(1))


def opposite(v):
    """The same first frame, every change from frame to frame the other way."""
    return torch.cat([v[:, :, :1], -v.diff(dim=2)], 2).cumsum(2)


class TestDirection:
    @pytest.mark.parametrize("form", ["signed", "as_released"])
    def test_zero_for_the_same(self, form):
        assert direction_loss(TARGET, TARGET, form) == pytest.approx(0, abs=1e-6)

    def test_two_for_the_opposite_where_the_published_code_sees_no_difference(self):
        assert direction_loss(opposite(TARGET), TARGET) == pytest.approx(2, abs=1e-5)
        assert direction_loss(opposite(TARGET), TARGET, "as_released") == pytest.approx(0, abs=1e-5)

    def test_one_for_unrelated(self):
        torch.manual_seed(0)
        assert direction_loss(torch.randn(2, 64, 9, 8, 8), torch.randn(2, 64, 9, 8, 8)) == pytest.approx(1, abs=0.03)

    def test_size_of_the_change_does_not_count(self):
        assert direction_loss(3 * TARGET, TARGET) == pytest.approx(0, abs=1e-6)

    def test_a_single_frame_has_none(self):
        assert direction_loss(TARGET[:, :, :1], -TARGET[:, :, :1]) == 0
        assert direction_loss(TARGET, -TARGET, "none") == 0

    def test_gradient(self):
        x = TARGET[:1, :3, :3, :2, :2].double().clone().requires_grad_()
        with torch.no_grad():
            other = torch.randn_like(x)
        analytic = torch.autograd.grad(direction_loss(x, other), x)[0]
        step = torch.randn_like(x) * 1e-2  # the loss is computed in float32: finer differences are coarse
        numeric = direction_loss((x + step).detach(), other) - direction_loss((x - step).detach(), other)
        assert numeric.item() == pytest.approx(2 * (analytic * step).sum().item(), rel=0.02)

    def test_refuses_another_form(self):
        with pytest.raises(InputError, match="motion loss is 'cosine'"):
            direction_loss(TARGET, TARGET, "cosine")


class TestLevels:
    def test_levels_are_those_of_the_public_code(self):
        sigmas = sigma_levels()
        s = torch.linspace(1, 0.001, 1000)
        torch.testing.assert_close(sigmas, 5 * s / (1 + 4 * s))
        assert torch.equal(sigma_levels(end=0.7), sigmas[sigmas >= 0.7])

    def test_every_level_counts_alike(self):
        assert (level_weights(sigma_levels()) == 1).all()
        with pytest.raises(InputError, match="level weights is 'steep'"):
            level_weights(sigma_levels(), "steep")

    def test_published_weights_leave_out_where_motion_is_decided(self):
        """A bell with mean one: its middle counts twenty times what the first steps of sampling do."""
        sigmas = sigma_levels()
        weights = level_weights(sigmas, "as_released")
        assert weights[sigmas > 0.97].mean() < weights.max() / 20
        assert weights.mean() == pytest.approx(1) and weights.min() == 0
        assert sigmas[weights.argmax()] == pytest.approx(0.5, abs=0.01)
