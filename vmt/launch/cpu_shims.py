"""What ComfyUI needs to start beside a PyTorch for which torchvision or torchaudio has no fitting build, to decode
small videos on a CPU in a fraction of the time, and to draw new noise there.

Nothing happens where it is not needed: the import of torchvision is repeated only if it failed for want of its compiled
operators, torchaudio is replaced only if there is none, only float32 on the CPU is convolved in another way, and noise
is left alone where the host has mended it.
PyTorch itself is not imported here, since ComfyUI sets its environment variables first.
"""

import functools
import importlib.machinery
import importlib.util
import sys
import types


class _Watch:
    """Lets Python find a module as ever, and runs it by `run(how it is run, the module)`."""

    def __init__(self, name, run):
        self.name, self.run = name, run

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        spec.loader.exec_module = functools.partial(self.run, spec.loader.exec_module)
        return spec


def _run_torchvision(run, module):
    try:
        run(module)
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for loaded in [other for other in sys.modules if other.startswith("torchvision.")]:
            del sys.modules[loaded]
        _define_operators()
        run(module)


def _define_operators():
    """The two operators that torchvision's Python files refer to on import. They are named, not implemented."""
    import torch

    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _run_functional(run, module):
    run(module)
    _use_onednn(module)


def _use_onednn(functional):
    if not hasattr(functional.conv3d, "vmt_plain"):
        functional.conv3d = _conv3d_through_onednn(functional.conv3d)


def _conv3d_through_onednn(plain):
    """PyTorch's conv3d, but a clip of few channels goes through oneDNN as every other does.

    Below some 20,000 values a frame of float32 PyTorch takes a loop of its own on CPUs, and the host's Wan VAE, which
    goes four frames at a time, spends nine tenths of its time there on a small video. Results differ by rounding.
    """
    import torch

    def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        taken = (input.device.type, input.layout, input.dtype, input.ndim) == ("cpu", torch.strided, torch.float32, 5)
        taken = taken and input.numel() > 0 and weight.dtype == input.dtype and torch.backends.mkldnn.is_available()
        # For a gradient it would keep the weights, which a host made in inference mode.
        wanted = torch.is_grad_enabled() and (input.requires_grad or weight.requires_grad)
        # Strides are those of a model's patches: there a pass with a gradient is to give the same, bit for bit.
        if not taken or wanted or isinstance(padding, str) or stride not in (1, (1, 1, 1)):
            return plain(input, weight, bias, stride, padding, dilation, groups)
        threes = [[by] * 3 if isinstance(by, int) else list(by) for by in (padding, stride, dilation)]
        return torch.ops.aten.mkldnn_convolution(input, weight, bias, *threes, groups)

    conv3d.vmt_plain = plain
    return conv3d


def _run_sampling(run, module):
    run(module)
    module.default_noise_sampler = _noise_of_its_own(module.default_noise_sampler)


def _noise_of_its_own(made):
    """The host's `default_noise_sampler`, which on a CPU shall not give the noise again that a video began with.

    ComfyUI 0.3.75 starts both from the same seed, and on a CPU from the same generator: an ancestral sampler then adds
    the noise that is there already, a third more than its first steps should have. Later hosts count one up, as here.
    """
    import torch

    def default_noise_sampler(x, seed=None):
        on_cpu = seed is not None and x.device.type == "cpu"
        return made(x, (seed + 1) % 2**64 if on_cpu and repeats() else seed)

    @functools.cache
    def repeats():
        drawn = made(torch.zeros(4), 7)(None, None)
        return torch.equal(drawn, torch.randn(4, generator=torch.Generator().manual_seed(7)))

    return default_noise_sampler


def _stand_in(name):
    module = types.ModuleType(name, "Stands in for torchaudio, which is not installed: audio nodes do not work.")
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    module.__version__ = "0"
    sys.modules[name] = module
    return module


def apply():
    """To be called once, before the host is imported."""
    runs = {
        "torchvision": _run_torchvision,
        "torch.nn.functional": _run_functional,
        "comfy.k_diffusion.sampling": _run_sampling,
    }
    watched = {finder.name for finder in sys.meta_path if isinstance(finder, _Watch)}
    for name in runs.keys() - watched - set(sys.modules):
        sys.meta_path.insert(0, _Watch(name, runs[name]))
    if "torch.nn.functional" in sys.modules:
        _use_onednn(sys.modules["torch.nn.functional"])
    if importlib.util.find_spec("torchaudio") is None:
        # ComfyUI imports both; `torchaudio.transforms` stays missing, which it reports as "ACE unavailable".
        _stand_in("torchaudio").functional = _stand_in("torchaudio.functional")
