import os
import sys
from pathlib import Path

import pytest

from vmt.launch import host_python
from vmt.launch.console import LaunchError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_PYTHON", raising=False)
    monkeypatch.setattr(host_python, "STATE", tmp_path)
    (tmp_path / "portable" / "ComfyUI").mkdir(parents=True)
    return tmp_path / "portable" / "ComfyUI"


@pytest.mark.parametrize(
    "place",
    ["venv/bin/python", ".venv/Scripts/python.exe", "../python_embeded/python.exe", "../venv/bin/python"],
)
def test_python_in_or_beside_the_tree_is_found(tree, place):
    assert host_python.find(tree) is None
    program = tree / place
    program.parent.mkdir(parents=True)
    program.touch()
    assert os.path.samefile(host_python.find(tree), program)


def test_named_python_goes_first_and_must_exist(tree, monkeypatch):
    (tree / "venv/bin").mkdir(parents=True)
    (tree / "venv/bin/python").touch()
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    assert host_python.find(tree) == Path(sys.executable)
    monkeypatch.setenv("COMFYUI_PYTHON", "/no/such/python")
    with pytest.raises(LaunchError, match="COMFYUI_PYTHON is /no/such/python, which is no program"):
        host_python.find(tree)


def test_python_that_has_everything_gets_no_folder(tree):
    assert host_python.add_missing(Path(sys.executable)) is None


def test_what_is_missing_goes_beside_it_and_is_installed_once(tree, monkeypatch):
    calls = []

    def pip(python, command, *arguments):
        calls.append(arguments)
        Path(arguments[arguments.index("--target") + 1]).mkdir()

    monkeypatch.setattr(host_python, "pip", pip)
    monkeypatch.setattr(host_python, "_probe", lambda python: ((3, 12), ["cv2", "tomli"]))
    extras = host_python.add_missing(Path("python"))
    assert extras.is_dir() and "--no-deps" in calls[0]
    assert calls[0][-1] == "opencv-python-headless" and "tomli" not in calls[0]
    assert host_python.add_missing(Path("python")) == extras and len(calls) == 1


@pytest.mark.parametrize(
    ("version", "missing", "said"),
    [((3, 9), [], "Python 3.9"), ((3, 12), ["torch"], "no torch, so it does not run ComfyUI.*COMFYUI_PYTHON")],
)
def test_unfit_python_is_refused(tree, monkeypatch, version, missing, said):
    monkeypatch.setattr(host_python, "_probe", lambda python: (version, missing))
    with pytest.raises(LaunchError, match=said):
        host_python.add_missing(Path("python"))
