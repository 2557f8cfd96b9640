import sys
from pathlib import Path

import pytest

from vmt.launch import pip as pip_module
from vmt.launch.console import LaunchError
from vmt.launch.pip import pip


@pytest.fixture(autouse=True)
def log_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(pip_module, "LOG", tmp_path / "setup.log")


def test_missing_package_is_an_error_with_pip_own_words_and_advice(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as without a network, at once
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(LaunchError, match=r"(?s)no-such-package-vmt.*Check the\s+network.*pip config list.*setup\.log"):
        pip(Path(sys.executable), "download", "-d", str(tmp_path), "no-such-package-vmt==1.0")
    assert "no-such-package-vmt" in (tmp_path / "setup.log").read_text(encoding="utf-8")


def test_wrong_content_of_a_pinned_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheel = tmp_path / "vmt_nothing-1.0-py3-none-any.whl"
    wheel.write_bytes(b"something else")
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(f"vmt-nothing==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(LaunchError, match="not the expected one"):
        pip(Path(sys.executable), "download", "--require-hashes", "-d", str(tmp_path / "out"), "-r", str(wanted))
