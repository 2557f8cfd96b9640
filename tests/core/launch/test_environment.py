"""When an environment counts as whole. pip is watched, not run: what it installs is tried by every other test."""

from types import SimpleNamespace

import pytest

from vmt.launch import CLONE, environment, stamp
from vmt.launch.console import LaunchError

REQUIREMENTS = """
comfyui-frontend-package==1.32.9
comfyui-workflow-templates==0.7.25
comfyui_embedded_docs==0.3.1
torch
torchsde
torchvision>=0.20 ; python_version > "3.9"
torchaudio
numpy>=1.25.0

#non essential dependencies:
pydantic~=2.0  # comment
"""


@pytest.fixture
def pip_calls(monkeypatch):
    calls = []
    monkeypatch.setattr(environment, "pip", lambda python, *arguments: calls.append(arguments))
    monkeypatch.setattr(environment, "_installed", lambda python, package: "2.13.0+cpu")
    monkeypatch.setattr(environment, "_smaller_torch", lambda: [])
    return calls


def test_requirements_keep_all_but_torch_and_the_large_extras():
    kept = environment.kept_requirements(REQUIREMENTS)
    assert kept == ["comfyui-frontend-package==1.32.9", "torchsde", "numpy>=1.25.0", "pydantic~=2.0"]


def test_unfinished_environment_is_made_again_and_a_finished_one_kept(tmp_path, pip_calls, capsys):
    folder = tmp_path / "venv"
    python = environment.begin(folder)
    assert python.is_file()
    (folder / "left-over").touch()
    environment.begin(folder)  # no stamp: as after an interrupted set-up
    assert not (folder / "left-over").exists() and python.is_file()
    assert "unfinished" in capsys.readouterr().out

    environment.complete(folder, REQUIREMENTS)
    assert pip_calls[0] == ("install", environment.TORCH)
    assert pip_calls[1] == ("install", "--no-deps", environment.TORCHVISION)
    assert (folder / "vmt-constraint.txt").read_text() == "torch==2.13.0+cpu\n"
    (folder / "kept").touch()
    pip_calls.clear()
    environment.begin(folder)
    environment.complete(folder, REQUIREMENTS)
    assert (folder / "kept").exists() and pip_calls == []

    environment.complete(folder, REQUIREMENTS + "one-more\n")
    assert "one-more" in pip_calls[-1] and (folder / "kept").exists()

    # The system's Python was replaced: the packages are still there, but it no longer sees them.
    content = stamp.read(folder / environment.STAMP)
    stamp.write(folder / environment.STAMP, {**content, "python": "3.9"})
    environment.begin(folder)
    assert not (folder / "kept").exists()


def test_failed_install_leaves_no_stamp(tmp_path, pip_calls, monkeypatch):
    environment.begin(tmp_path / "venv")
    environment.complete(tmp_path / "venv", REQUIREMENTS)

    def fail(python, *arguments):
        raise LaunchError("no network")

    monkeypatch.setattr(environment, "pip", fail)
    with pytest.raises(LaunchError, match="no network"):
        environment.complete(tmp_path / "venv", REQUIREMENTS + "one-more\n")
    assert stamp.read(tmp_path / "venv" / environment.STAMP) is None


def test_full_disk_is_told_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: SimpleNamespace(free=1.2e9))
    with pytest.raises(LaunchError, match=r"1\.2 GB free; the set-up needs 4 GB"):
        environment.begin(tmp_path / "venv")
    assert not (tmp_path / "venv").exists()


def test_python_without_venv_says_what_to_install(tmp_path, monkeypatch):
    broken = SimpleNamespace(returncode=1, stdout="", stderr="No module named ensurepip")
    monkeypatch.setattr(environment.subprocess, "run", lambda *a, **k: broken)
    with pytest.raises(LaunchError, match=r"(?s)No module named ensurepip.*apt install python3-venv"):
        environment.begin(tmp_path / "venv")


def test_the_pack_installs_what_pyproject_names():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["dependencies"]) <= set(environment.ALSO)
    assert not {"torch", "torchvision"} & set(project["dependencies"])
