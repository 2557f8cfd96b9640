"""One ComfyUI server as a child process: started on a free port, watched, and ended with its client."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
from pathlib import Path

from .local_http import open_local
from .run_result import ServerError

START_HOST = Path(__file__).with_name("start_host.py")
ADDRESS = "127.0.0.1"
READY_WITHIN = 300.0  # seconds; a first start may have to read much from a slow disk
LARGEST_UPLOAD = 100_000  # MB; by itself the host takes 100, less than many a clip


def command(python: Path, tree: Path, arguments: list[str]) -> list[str]:
    return [str(python), "-u", str(START_HOST), str(tree), *arguments]


def needs_cpu_flag(python: Path) -> bool:
    """Whether that PyTorch sees no accelerator; without --cpu the host would then fail to start."""
    code = (
        "import torch; xpu = getattr(torch, 'xpu', None); "
        "print(torch.cuda.is_available() or torch.backends.mps.is_available() or bool(xpu and xpu.is_available()))"
    )
    asked = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    return asked.stdout.strip() != "True"


class HostProcess:
    """`start`, `stop`, `check`, `log_tail`. Holds no connection; see `Server` for talking to it."""

    def __init__(self, python: Path, tree: Path, base: Path, arguments: list[str]) -> None:
        self.python, self.tree, self.base, self.arguments = python, tree, base, arguments
        self.log = base / "server.log"
        self.port = 0
        self._process: subprocess.Popen | None = None
        self._temp: Path | None = None

    @property
    def pid(self) -> int | None:
        """The host's process number; None if it does not run."""
        return self._process and self._process.pid

    def start(self) -> None:
        """Returns when the server answers. Raises ServerError with the end of its log if it dies or takes longer."""
        for attempt in range(3):
            self._launch()
            try:
                self._wait_until_ready()
                return
            except BaseException:
                text = self.log_tail()
                self.stop()
                # Another process took the free port between our look and the server's.
                if attempt == 2 or not any(sign in text.lower() for sign in ("address already in use", "10048")):
                    raise

    def _launch(self) -> None:
        with socket.socket() as probe:
            probe.bind((ADDRESS, 0))
            self.port = probe.getsockname()[1]
        # Its own: every ComfyUI empties its temp folder when it starts and ends.
        self._temp = Path(tempfile.mkdtemp(prefix="temp-", dir=self.base))
        options = ["--listen", ADDRESS, "--port", str(self.port), "--base-directory", str(self.base)]
        options += ["--temp-directory", str(self._temp), "--database-url", "sqlite:///:memory:"]
        options += ["--max-upload-size", str(LARGEST_UPLOAD)]
        options += ["--disable-auto-launch", "--disable-api-nodes", *self.arguments]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # A group of its own: Ctrl-C reaches the client, which then ends the server in its own time.
        apart = {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command(self.python, self.tree, options),
                stdin=subprocess.PIPE,  # closed by the system if we die; see start_host.py
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "VMT_STOP_WITH_PARENT": "1", "PYTHONIOENCODING": "utf-8"},
                **apart,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            self.check()
            try:
                with open_local(f"http://{ADDRESS}:{self.port}/system_stats", timeout=10) as answer:
                    # The folder is ours alone: an answer that names it does not come from another ComfyUI.
                    if str(self._temp) in json.load(answer)["system"]["argv"]:
                        return
            except (urllib.error.URLError, OSError, ValueError, KeyError):
                pass
            time.sleep(0.1)
        raise ServerError(
            f"ComfyUI did not answer within {READY_WITHIN:.0f} s. The end of {self.log}:\n{self.log_tail()}"
        )

    def check(self) -> None:
        """Raises ServerError if the server is no longer running."""
        if self._process is None:
            raise ServerError("The ComfyUI server is not started.")
        code = self._process.poll()
        if code is not None:
            killed = " (killed; was there enough memory?)" if code in (-9, 137) else ""
            raise ServerError(f"ComfyUI ended with status {code}{killed}. The end of {self.log}:\n{self.log_tail()}")

    def has_ended(self, patience: float = 0.0) -> bool:
        """Whether the server that was started runs no longer; waits up to `patience` seconds for its end."""
        if self._process is None:
            return True
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log_tail(self, lines: int = 25) -> str:
        try:
            text = self.log.read_bytes().decode("utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """Ends the server: politely, then not. May be called twice."""
        process, self._process = self._process, None
        try:
            if process is not None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                process.stdin.close()
        finally:
            if self._temp is not None:
                shutil.rmtree(self._temp, ignore_errors=True)
                self._temp = None
