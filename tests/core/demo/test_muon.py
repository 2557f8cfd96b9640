import pytest
import torch

from vmt.demo.muon import MuonAdamW, orthogonalise


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 8, 40), (2, 40, 8), (1, 1, 5)])
def test_singular_values_become_about_one(shape):
    out = orthogonalise(normal(*shape))
    assert out.shape == shape and out.dtype == torch.float32
    values = torch.linalg.svdvals(out)
    assert values.min() > 0.3 and values.max() < 1.3  # the quintic aims at 0.7 to 1.2, from where it was large enough
    assert values.median() == pytest.approx(0.9, abs=0.25)


def test_directions_are_kept():
    """The update is U V^T of the momentum: rotating the input rotates the output."""
    matrix = normal(1, 12, 20)
    u, _, v = torch.linalg.svd(matrix[0], full_matrices=False)
    aligned = torch.diagonal(u.T @ orthogonalise(matrix)[0] @ v.T)
    assert aligned.min() > 0.3
    turn = torch.linalg.qr(normal(12, 12, seed=1))[0]
    turned_before, turned_after = orthogonalise((turn @ matrix[0])[None])[0], turn @ orthogonalise(matrix)[0]
    torch.testing.assert_close(turned_after, turned_before, atol=0.06, rtol=0)  # it runs in bfloat16


def test_scale_of_the_gradient_does_not_matter_and_batches_do_not_mix():
    matrices = normal(3, 10, 14)
    torch.testing.assert_close(orthogonalise(matrices), orthogonalise(1e4 * matrices), atol=0.06, rtol=0)
    for alone, together in zip(matrices, orthogonalise(matrices), strict=True):
        torch.testing.assert_close(orthogonalise(alone[None])[0], together, atol=0.06, rtol=0)
    assert torch.isfinite(orthogonalise(torch.zeros(1, 4, 4))).all()


def parameters(seed=0):
    shapes = {"a": (6, 8), "b": (6, 8), "conv": (4, 3, 3, 3, 3), "bias": (8,), "idle": (5, 5)}
    return {name: torch.nn.Parameter(normal(*shape, seed=seed + i)) for i, (name, shape) in enumerate(shapes.items())}


MATRICES = {"a", "b", "conv", "idle"}


def run(optimiser, steps):
    """Steps down a fixed quadratic bowl; `idle` gets no gradient. Returns the last loss."""
    for _ in range(steps):
        loss = sum(((p - 0.1) ** 2).sum() for name, p in optimiser.parameters.items() if name != "idle")
        loss.backward()
        optimiser.step(0.5)
    return float(loss.detach())


def test_update_has_the_size_of_the_rate():
    tensors = parameters()
    before = {name: p.detach().clone() for name, p in tensors.items()}
    run(MuonAdamW(tensors, MATRICES, lr=0.02, decay=0.0), 1)  # at half the rate
    change = {name: (p.detach() - before[name]) for name, p in tensors.items()}
    for name in ("a", "b", "conv"):  # arXiv 2502.16982, section 2.2: 0.2 of the rate, RMS
        assert change[name].square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.2), name
    torch.testing.assert_close(change["bias"].abs(), torch.full((8,), 0.01), rtol=1e-3, atol=0)  # Adam's first step
    assert (change["idle"] == 0).all()
    assert all(p.grad is None for p in tensors.values())


def test_loss_falls():
    assert run(MuonAdamW(parameters(), MATRICES, lr=0.1), 150) < 0.1 * run(MuonAdamW(parameters(), MATRICES, lr=0.1), 1)


def test_state_takes_up_where_it_was_left():
    straight = MuonAdamW(parameters(), MATRICES, 0.05)
    run(straight, 6)
    first = MuonAdamW(parameters(), MATRICES, 0.05)
    run(first, 3)
    second = MuonAdamW(
        {name: torch.nn.Parameter(p.detach().clone()) for name, p in first.parameters.items()}, MATRICES, 0.05
    )
    second.load({name: tensor.clone() for name, tensor in first.state().items()})
    run(second, 3)
    for name, parameter in straight.parameters.items():
        assert torch.equal(parameter, second.parameters[name]), name
    cold = MuonAdamW(
        {name: torch.nn.Parameter(p.detach().clone()) for name, p in first.parameters.items()}, MATRICES, 0.05
    )
    run(cold, 3)
    assert not torch.equal(cold.parameters["a"], straight.parameters["a"])
