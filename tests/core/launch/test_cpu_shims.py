"""The work-arounds, each in a Python of its own: they act on what is imported first."""

import subprocess
import sys

import pytest

from vmt.launch import CLONE

START = f"import sys; sys.path.append({str(CLONE)!r}); from vmt.launch import cpu_shims; "


def run(code, *path):
    code = f"import sys; sys.path[:0] = {[str(folder) for folder in path]!r}; {START}{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_torchvision_and_torchaudio_can_be_imported():
    code = (
        "cpu_shims.apply(); assert 'torch' not in sys.modules; "
        "import torchvision.transforms.v2, torchaudio, torchaudio.functional; print(torchvision.__version__)"
    )
    assert run(code)


def test_packages_that_work_are_left_alone(tmp_path):
    for name in ("torchvision", "torchaudio"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("print('ran', __name__)\n")
    code = "cpu_shims.apply(); import torchvision, torchaudio; print(torchaudio.__file__, 'torch' in sys.modules)"
    expected = ["ran", "torchvision", "ran", "torchaudio", str(tmp_path / "torchaudio" / "__init__.py"), "False"]
    assert run(code, tmp_path) == expected


def test_another_error_of_torchvision_is_not_hidden(tmp_path):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('built for another CUDA')\n")
    code = "cpu_shims.apply()\ntry:\n import torchvision\nexcept RuntimeError as error:\n print(str(error).split()[-1])"
    assert run(code, tmp_path) == ["CUDA"]


CONVOLUTIONS = """
import torch
from torch.profiler import profile
F = torch.nn.functional
x, w, b = torch.randn(1, 4, 3, 9, 9), torch.randn(6, 4, 3, 3, 3), torch.randn(6)
plain = torch.conv3d(x, w, b, 1, (1, 0, 0))
with profile() as told:
    ours = F.conv3d(x, w, b, (1, 1, 1), (1, 0, 0))
torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
leaf = x.clone().requires_grad_()
F.conv3d(leaf, w, padding=1).square().sum().backward()
ours, leaf.grad = leaf.grad, None
torch.conv3d(leaf, w, padding=1).square().sum().backward()
assert ours.equal(leaf.grad)
for same, given in ((x.double(), w.double()), (x[0], w), (x, w.double())):  # left to PyTorch, its error too
    try:
        expected = torch.conv3d(same, given, padding=1)
    except RuntimeError as error:
        expected = str(error)
    try:
        found = F.conv3d(same, given, padding=1)
    except RuntimeError as error:
        found = str(error)
    assert type(found) is type(expected) and (found == expected if isinstance(found, str) else found.equal(expected))
assert F.conv3d(x, w, b, (1, 2, 2)).equal(torch.conv3d(x, w, b, (1, 2, 2)))
assert F.conv3d(x, w, padding="same").shape == (1, 6, 3, 9, 9)
names = {event.key for event in told.key_averages()}
print(*sorted(names & {"aten::slow_conv3d_forward", "aten::mkldnn_convolution"}))
"""


@pytest.mark.parametrize("first", ["", "import torch; "])
def test_small_clips_are_convolved_by_onednn(first):
    """Whether PyTorch comes after the work-arounds, as in a host, or before them."""
    assert run(f"{first}cpu_shims.apply(); cpu_shims.apply()\n{CONVOLUTIONS}") == ["aten::mkldnn_convolution"]


def test_without_the_work_around_they_would_not():
    code = "import torch; from torch.profiler import profile\nwith profile() as told:\n"
    code += " torch.nn.functional.conv3d(torch.randn(1, 4, 3, 9, 9), torch.randn(6, 4, 3, 3, 3))\n"
    code += "print('aten::slow_conv3d_forward' in {event.key for event in told.key_averages()})"
    assert run(code) == ["True"]


@pytest.mark.parametrize("mended", [False, True])
def test_new_noise_is_not_the_noise_a_video_began_with(tmp_path, mended):
    """Both kinds of host give what the later ones do; without a seed nothing is changed."""
    folder = tmp_path / "comfy" / "k_diffusion"
    folder.mkdir(parents=True)
    (folder / "sampling.py").write_text(
        "import torch\n"
        "def default_noise_sampler(x, seed=None):\n"
        f"    if seed is not None and {mended}: seed += 1\n"
        "    generator = None if seed is None else torch.Generator().manual_seed(seed)\n"
        "    return lambda sigma, sigma_next: torch.randn(x.size(), generator=generator)\n"
    )
    code = (
        "cpu_shims.apply(); import torch; from comfy.k_diffusion import sampling\n"
        "x = torch.zeros(3, 5); draw = sampling.default_noise_sampler(x, seed=2**64 - 2)\n"
        "generator = torch.Generator().manual_seed(2**64 - 1)\n"
        "print(all(torch.equal(draw(1, 0), torch.randn(3, 5, generator=generator)) for _ in range(3)))\n"
        "torch.manual_seed(3); expected = torch.randn(3, 5)\n"
        "torch.manual_seed(3); print(torch.equal(sampling.default_noise_sampler(x)(1, 0), expected))\n"
    )
    assert run(code, tmp_path) == ["True", "True"]
