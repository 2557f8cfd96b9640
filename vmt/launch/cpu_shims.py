"""What ComfyUI needs to start beside a PyTorch for which torchvision or torchaudio has no fitting build.

Nothing happens where both work: the import of torchvision is repeated only if it failed for want of its compiled
operators, and torchaudio is replaced only if there is none. PyTorch itself is not imported here, since ComfyUI sets
its environment variables first.
"""

import importlib.machinery
import importlib.util
import sys
import types


class _WatchTorchvision:
    """Lets Python find torchvision as ever, and steps in when running it fails."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "torchvision":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_or_define(module):
            try:
                run(module)
            except RuntimeError as error:
                if "torchvision::nms" not in str(error):
                    raise
                for loaded in [other for other in sys.modules if other.startswith("torchvision.")]:
                    del sys.modules[loaded]
                _define_operators()
                run(module)

        spec.loader.exec_module = run_or_define
        return spec


def _define_operators():
    """The two operators that torchvision's Python files refer to on import. They are named, not implemented."""
    import torch

    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _stand_in(name):
    module = types.ModuleType(name, "Stands in for torchaudio, which is not installed: audio nodes do not work.")
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    module.__version__ = "0"
    sys.modules[name] = module
    return module


def apply():
    """To be called once, before the host is imported."""
    if "torchvision" not in sys.modules and _WatchTorchvision not in sys.meta_path:
        sys.meta_path.insert(0, _WatchTorchvision)
    if importlib.util.find_spec("torchaudio") is None:
        # ComfyUI imports both; `torchaudio.transforms` stays missing, which it reports as "ACE unavailable".
        _stand_in("torchaudio").functional = _stand_in("torchaudio.functional")
