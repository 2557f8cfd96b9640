import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmt.launch import CLONE, arguments, cli
from vmt.launch.setup import Host


def vmt(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "vmt", *arguments],
        cwd=CLONE,
        env={**os.environ, "VMT_INSIDE": "", **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("arguments", [[], ["demonstrate"]])
def test_unknown_command_shows_the_commands(arguments):
    done = vmt(*arguments)
    assert done.returncode == 2 and "python3 -m vmt COMMAND" in done.stderr
    assert not arguments or "no command 'demonstrate'" in done.stderr


def test_help_names_every_command():
    done = vmt("--help")
    assert done.returncode == 0 and all(f"\n  {command} " in done.stdout for command in cli.COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--reference", "no/such.mp4"], "no/such.mp4 is not a file"),
        (["demo", "--seed", "-1"], "-1 is no seed"),
        (["demo", "--seed", str(2**64)], "whole number from 0"),
        (["demo", "--out", "pyproject.toml"], "is a file. Give a folder"),
        (["demo", "clip.mp4"], "unrecognized arguments: clip.mp4"),
        (["train", "wan"], "python3 -m vmt train demo"),
    ],
)
def test_typing_errors_are_told_before_the_setup(arguments, said):
    # A folder that is no ComfyUI: had the set-up begun, that would be the complaint.
    done = vmt(*arguments, COMFYUI_PATH=str(CLONE / "vmt"))
    assert done.returncode in (1, 2) and said in done.stderr and "COMFYUI_PATH" not in done.stderr


def test_a_reference_that_may_not_be_read_is_told_as_such(monkeypatch, capsys):
    def deny(path, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(SystemExit):
        arguments.demo(["--reference", __file__])
    assert "test_cli.py cannot be read (Permission denied)" in capsys.readouterr().err


def test_without_a_gpu_cpu_is_added_unless_an_option_excludes_it(monkeypatch, tmp_path):
    monkeypatch.setattr(cli.host_process, "needs_cpu_flag", lambda python: True)
    monkeypatch.setattr(cli.base_folder, "prepare", lambda: tmp_path)
    host = Host(Path(sys.executable), tmp_path)
    assert "--cpu" in cli.comfy_command(host, ["--listen"])
    assert "--cpu" not in cli.comfy_command(host, ["--lowvram"])
    assert cli.comfy_command(host, ["--cpu"]).count("--cpu") == 1


def test_setup_errors_have_no_traceback():
    done = vmt("test", COMFYUI_PATH=str(CLONE / "vmt"))
    assert done.returncode == 1 and "\nvmt: COMFYUI_PATH is" in done.stderr and "Traceback" not in done.stderr


def test_status_of_the_program_is_passed_on():
    code = "import os, sys; print(os.environ['SEEN']); sys.exit(5)"
    assert cli.foreground([sys.executable, "-c", code], {**os.environ, "SEEN": "1"}) == 5
