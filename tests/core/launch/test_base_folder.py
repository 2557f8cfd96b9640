import os

import pytest

from vmt.launch import CLONE, base_folder
from vmt.launch.console import LaunchError


def test_pack_is_linked_and_a_stale_link_is_mended(tmp_path):
    base = base_folder.prepare(tmp_path / "base")
    link = base / "custom_nodes" / "comfyui-vmt"
    assert os.path.samefile(link, CLONE)
    base_folder.prepare(base)
    link.unlink()
    link.symlink_to(tmp_path / "moved-away")
    base_folder.prepare(base)
    assert os.path.samefile(link, CLONE)


def test_a_real_folder_in_the_way_is_not_deleted(tmp_path):
    mine = tmp_path / "custom_nodes" / "comfyui-vmt"
    mine.mkdir(parents=True)
    (mine / "work.py").touch()
    with pytest.raises(LaunchError, match="in the way"):
        base_folder.prepare(tmp_path)
    assert (mine / "work.py").exists()
