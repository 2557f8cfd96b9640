"""The commands: outside our environment they set it up and start themselves inside it, where the work is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from . import CLONE, arguments, base_folder, host_process, host_tree, setup
from .console import LaunchError, say

USAGE = """\
usage: python3 -m vmt COMMAND ...

  demo [--reference FILE] [--prompt TEXT] [--seed N] [--out DIR]
                     the motion of a reference clip on another object, in a real ComfyUI
  test [PYTEST ...]  the tests, with pytest's own options
  comfy [COMFYUI ...] ComfyUI with these nodes in your browser, with ComfyUI's own options; Ctrl-C ends it
  train demo [...]   makes the weights of the demo model again
  bench transfer [...]  measures motion transfer on cases whose motion is known, beside controls
  bench cost [...]   counts what a run costs, plain, guided and to tune; no weights, no GPU
  bench memory [...] counts what comparing motion takes in memory as frames grow
  evaluate [...]     judges the demo model, and motion transfer on it, on held-out cases

The first run installs what is needed into .vmt inside this folder (some minutes, 4 GB). With COMFYUI_PATH set to the
folder of a ComfyUI, that one is used as it is, with its own Python (COMFYUI_PYTHON names it if it is not found).
"""
# Of these ComfyUI takes one at most.
MEMORY_OPTIONS = {"--gpu-only", "--highvram", "--normalvram", "--lowvram", "--novram", "--cpu"}
COMMANDS = ("demo", "test", "comfy", "train", "bench", "evaluate")


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in COMMANDS:
        asked = argv[:1] in (["-h"], ["--help"], ["help"])
        unknown = f"vmt: there is no command {argv[0]!r}.\n\n" if argv and not asked else ""
        print(unknown + USAGE, end="", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    command, rest = argv[0], argv[1:]
    try:
        return work(command, rest) if setup.is_inside() else begin(command, rest)
    except LaunchError as error:
        print(f"\nvmt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nvmt: stopped. Run the command again to go on.", file=sys.stderr)
        return 130


def begin(command: str, rest: list[str]) -> int:
    """Outside: set-up, then the same command inside."""
    if command == "demo":
        arguments.demo(rest)
    if command == "train" and rest[:1] != ["demo"]:
        raise LaunchError("`train` knows one model: python3 -m vmt train demo [options].")
    host = setup.prepare()
    if command == "comfy":
        return foreground(comfy_command(host, rest), host.variables())
    # The tests are named relative to the repository, as pytest's own output names them.
    where = str(CLONE) if command == "test" else None
    return foreground(setup.inside(host, [command, *rest]), {**host.variables(), "VMT_INSIDE": "1"}, where)


def work(command: str, rest: list[str]) -> int:
    """Inside: everything that needs the host or PyTorch is imported here and not earlier."""
    # Being told to end then runs the `finally` and `with` blocks, which end the server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if command == "test":
        from .run_tests import run as run_tests

        return run_tests(rest)
    if command == "train":
        from ..demo.train import main as train

        return train(rest[1:]) or 0
    if command == "bench":
        from ..bench.command import main as bench

        return bench(rest)
    if command == "evaluate":
        from ..demo.evaluate import main as evaluate

        return evaluate(rest)
    from ..demo.run import main as demo

    return demo(arguments.demo(rest), host_tree.current()) or 0


def comfy_command(host: setup.Host, rest: list[str]) -> list[str]:
    base = base_folder.prepare()
    options = ["--base-directory", str(base), "--database-url", f"sqlite:///{base / 'user' / 'comfyui.db'}"]
    if MEMORY_OPTIONS.isdisjoint(rest) and host_process.needs_cpu_flag(host.python):
        say("No GPU is seen by PyTorch: starting with --cpu.")
        options.append("--cpu")
    say(f"Models go to {base / 'models'}, results to {base / 'output'}. Ctrl-C ends ComfyUI.")
    if host.tree == host_tree.FETCHED:
        say("ComfyUI will miss its template and help packages; they are large and were left out on purpose.")
    return host_process.command(host.python, host.tree, [*options, *rest])


def foreground(command: list[str], variables: dict[str, str], folder: str | None = None) -> int:
    """Runs a program in this terminal and returns its status. Ctrl-C reaches it too; it is given time to end."""
    sys.stdout.flush()
    running = subprocess.Popen(command, env=variables, cwd=folder)
    signal.signal(signal.SIGTERM, lambda *_: running.terminate())
    presses = 0
    while True:
        try:
            code = running.wait()
            break
        except KeyboardInterrupt:
            presses += 1
            if presses == 2:
                running.terminate()
    return 130 if presses and os.name != "nt" and code < 0 else code
