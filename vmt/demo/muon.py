"""The demo trainer's optimiser: Muon on weight matrices, AdamW on everything else, state in plain named tensors.

Muon (Jordan et al., 2024; scaled as in arXiv 2502.16982, section 2.2, so that one learning rate suits matrices of every
shape) replaces a matrix's momentum by the nearest orthogonal matrix. Convolutions count as matrices of out x rest.
"""

from __future__ import annotations

from collections import defaultdict

import torch


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Nearest (semi-)orthogonal matrices of a batch (M, rows, cols), by a quintic Newton-Schulz iteration."""
    x = matrices.to(torch.bfloat16)
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.transpose(1, 2) if tall else x).to(matrices.dtype)


class MuonAdamW:
    """One step updates all parameters of a module that have a gradient; the others stay as they are.

    Args:
        parameters: name -> float32 parameter. matrices: the names that Muon treats; the rest gets AdamW.
        lr: learning rate of both; Muon's update has the size of AdamW's at that rate.
    """

    def __init__(self, parameters: dict[str, torch.nn.Parameter], matrices: set[str], lr: float, decay: float = 0.01):
        self.parameters, self.lr, self.decay = parameters, lr, decay
        self.groups: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name in parameters:
            if name in matrices:
                self.groups[tuple(parameters[name].flatten(1).shape)].append(name)
        self.plain = [name for name in parameters if name not in matrices]
        self.first = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.second = {name: torch.zeros_like(parameters[name]) for name in self.plain}
        self.count = 0

    @torch.no_grad()
    def step(self, scale: float = 1.0) -> None:
        """Apply the gradients at learning rate `lr * scale` and clear them."""
        self.count += 1
        lr = self.lr * scale
        for names in map(self._with_gradient, self.groups.values()):
            if names:
                self._muon(names, lr)
        self._adam(self._with_gradient(self.plain), lr)
        for parameter in self.parameters.values():
            parameter.grad = None

    def _with_gradient(self, names):
        return [name for name in names if self.parameters[name].grad is not None]

    def _muon(self, names, lr, momentum=0.95):
        parameters = [self.parameters[name] for name in names]
        gradients, moments = [p.grad for p in parameters], [self.first[name] for name in names]
        torch._foreach_lerp_(moments, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, moments, momentum)
        updates = orthogonalise(torch.stack([u.flatten(1) for u in ahead]))
        size = 0.2 * max(updates.shape[1:]) ** 0.5
        torch._foreach_mul_(parameters, 1 - lr * self.decay)
        torch._foreach_add_(
            parameters, [u.view_as(p) for u, p in zip(updates, parameters, strict=True)], alpha=-lr * size
        )

    def _adam(self, names, lr, beta1=0.9, beta2=0.98):
        parameters = [self.parameters[name] for name in names]
        gradients = [p.grad for p in parameters]
        first, second = [self.first[name] for name in names], [self.second[name] for name in names]
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        root = torch._foreach_sqrt(torch._foreach_div(second, 1 - beta2**self.count))
        torch._foreach_add_(root, 1e-8)
        torch._foreach_addcdiv_(parameters, first, root, value=-lr / (1 - beta1**self.count))

    def state(self) -> dict[str, torch.Tensor]:
        """All state as named tensors, for a safetensors file."""
        tensors = {f"first.{name}": value for name, value in self.first.items()}
        tensors.update({f"second.{name}": value for name, value in self.second.items()})
        return {**tensors, "count": torch.tensor(self.count)}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        for kind, store in (("first", self.first), ("second", self.second)):
            for name, value in store.items():
                value.copy_(tensors[f"{kind}.{name}"])
        self.count = int(tensors["count"])
