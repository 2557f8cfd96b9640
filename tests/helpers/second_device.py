"""A machine with a second device, played on the CPU: what a GPU would refuse is refused.

Tensors asked for on it are made on the CPU and known to lie there. It goes by the name "mps", for which a host needs no
driver. As on a GPU, an operator takes tensors of one device only, but for those without dimensions, for indices, and
for what copies from one to the other.
"""

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

THERE = torch.device("mps")
COPYING = {
    Tensor.to,
    Tensor.cpu,
    Tensor.cuda,
    Tensor.copy_,
    Tensor.data.__set__,
    Tensor.type_as,
    torch._has_compatible_shallow_copy_type,
}
INDEXING = {Tensor.__getitem__, Tensor.__setitem__, Tensor.index_put_, Tensor.index_put}
NAMES = (THERE.type, "cpu")


def is_there(tensor: Tensor) -> bool:
    return getattr(tensor, "_is_there", False)


class SecondDevice(TorchFunctionMode):
    """While it is entered. `there(tensor)`: its copy on the second device."""

    def there(self, tensor: Tensor) -> Tensor:
        return _placed(tensor.clone(), True, ())

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
        if func is torch._C._nn._parse_to:  # how a module reads what it is asked for
            return func(*args, **kwargs)
        if func == Tensor.device.__get__:
            return THERE if is_there(args[0]) else args[0].device
        if func == Tensor.numpy and is_there(args[0]):
            raise TypeError("can't convert mps device type tensor to numpy")
        asked = _asked_device(args, kwargs)
        self._check(func, tensors)
        args, kwargs = tree_map(_on_cpu, (tuple(args), kwargs))
        result = func(*args, **kwargs)
        if func == Tensor.data.__set__:
            args[0]._is_there = is_there(args[1])
            return result
        if asked is not None:
            place = asked == THERE.type
        elif func == Tensor.to and len(tensors) > 1:
            place = is_there(tensors[1])
        elif func in COPYING or func in INDEXING:
            place = func != Tensor.cpu and is_there(tensors[0])
        else:
            place = any(is_there(tensor) for tensor in tensors)
        return tree_map(lambda value: _placed(value, place, tensors), result)

    def _check(self, func, tensors: list[Tensor]) -> None:
        if func in COPYING:
            return
        if func in INDEXING:
            if not is_there(tensors[0]) and any(is_there(tensor) and tensor.ndim for tensor in tensors[1:]):
                raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
            return
        if len({is_there(tensor) for tensor in tensors if tensor.ndim}) > 1:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {THERE} and cpu! "
                f"({func})"
            )


def _placed(value, place: bool, given):
    """It, known to lie there or not; another tensor object if it is one that was given and lies elsewhere."""
    if not isinstance(value, Tensor) or is_there(value) == place:
        return value
    if any(value is one for one in given):
        value = torch.ops.aten.alias(value)
    value._is_there = place
    return value


def _is_device(value) -> bool:
    return isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in NAMES)


def _asked_device(args, kwargs) -> str | None:
    named = [value for value in (*args, kwargs.get("device")) if _is_device(value)]
    return torch.device(named[0]).type if named else None


def _on_cpu(value):
    return torch.device("cpu") if _is_device(value) else value


@pytest.fixture
def second_device():
    """The mode, entered."""
    with SecondDevice() as mode:
        yield mode


@pytest.fixture
def on_second_device(host, graph, monkeypatch):
    """The host's device is another one than the CPU, on which files and results are; nodes that load the tiny model."""
    import comfy.model_management as management

    management.unload_all_models()
    for name in ("get_torch_device", "text_encoder_device", "vae_device"):
        monkeypatch.setattr(management, name, lambda: THERE)
    monkeypatch.setattr(management, "mac_version", lambda: (13,))  # what the name is asked for
    own = {"not in a cache of another test": 1}  # an input that the node ignores
    with SecondDevice():
        yield {name: {**node, "inputs": {**node["inputs"], **own}} for name, node in graph.loader().items()}
    management.unload_all_models()
