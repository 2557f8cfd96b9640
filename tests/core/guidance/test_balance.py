import pytest
import torch

from vmt.guidance.balance import balanced


@pytest.fixture
def parts():
    x, y = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True).unbind()
    return [x, y]


def losses(x, y):
    """Two videos under two prompts; the second loss is on another scale altogether."""
    first = (x.square() + y).sum(1).unflatten(0, (2, 2)).mean(0)
    second = 1e-6 * (x - y).pow(4).sum(1).unflatten(0, (2, 2)).mean(0)
    return first, second


def lengths(gradients):
    return torch.stack([g.unflatten(0, (2, 2)).square().sum((0, 2)) for g in gradients]).sum(0).sqrt()


def test_each_sample_gets_the_share_that_was_asked_for(parts):
    first, second = losses(*parts)
    alone = torch.autograd.grad(first.sum(), parts, retain_graph=True)
    both = torch.autograd.grad(balanced(first, second, parts, 0.2).sum(), parts)
    added = [g - a for g, a in zip(both, alone, strict=True)]
    assert lengths(added).tolist() == pytest.approx((0.2 * lengths(alone)).tolist(), rel=1e-4)


def test_a_loss_without_gradient_adds_nothing(parts):
    first, second = losses(*parts)
    assert torch.equal(balanced(first, 0 * second, parts, 0.2), first)
    assert torch.equal(balanced(first, second, parts, 0.0), first)


def test_a_part_that_one_loss_does_not_use(parts):
    first, _ = losses(*parts)
    second = parts[1].square().sum(1).unflatten(0, (2, 2)).mean(0)
    assert torch.isfinite(balanced(first, second, parts, 0.2)).all()
