"""The work-arounds, each in a Python of its own: they act on what is imported first."""

import subprocess
import sys

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
