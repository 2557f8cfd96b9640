"""What the launcher tells its user: one line per step with the time it took, and errors without a traceback."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager


class LaunchError(RuntimeError):
    """Set-up or the host cannot go on. The message says what was found, what is allowed and what to do."""


def say(text: str) -> None:
    print(text, flush=True)


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


@contextmanager
def step(text: str):
    """Prints `text`, counts seconds beside it on a terminal, and ends the line with the time taken."""
    start = time.monotonic()
    ended = threading.Event()
    live = sys.stdout.isatty()

    def count() -> None:
        while not ended.wait(1.0):
            print(f"\r{text} ... {duration(time.monotonic() - start)} ", end="", flush=True)

    print(f"{text} ...", end="", flush=True)
    ticker = threading.Thread(target=count, daemon=True)
    if live:
        ticker.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        ended.set()
        if live:
            ticker.join()
        line = f"{text} ... {outcome} ({duration(time.monotonic() - start)})"
        print(f"\r{line}" if live else line[len(text) + 4 :], flush=True)
