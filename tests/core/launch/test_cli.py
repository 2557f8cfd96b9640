import os
import subprocess
import sys

import pytest

from vmt.launch import CLONE, cli


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


def test_setup_errors_have_no_traceback():
    done = vmt("test", COMFYUI_PATH=str(CLONE / "vmt"))
    assert done.returncode == 1 and "\nvmt: COMFYUI_PATH is" in done.stderr and "Traceback" not in done.stderr


def test_status_of_the_program_is_passed_on():
    code = "import os, sys; print(os.environ['SEEN']); sys.exit(5)"
    assert cli.foreground([sys.executable, "-c", code], {**os.environ, "SEEN": "1"}) == 5
