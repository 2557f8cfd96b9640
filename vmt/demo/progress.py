"""A run of the host as lines on a terminal: which node, how far, how long."""

from __future__ import annotations

import sys
import time

from ..launch.console import duration
from .api_graph import title


class Progress:
    """Given to `Server.run` as `on_progress`. On a terminal one line that moves; in a log one line per node."""

    def __init__(self, graph: dict, label: str) -> None:
        self.graph, self.label = graph, label
        self.live = sys.stdout.isatty()
        self.start = time.monotonic()
        self._node = ""

    def __call__(self, node_id: str, step: int, steps: int) -> None:
        name = title(self.graph, node_id)
        if self.live:
            far = f" {step}/{steps}" if steps else ""
            print(f"\r\033[K{self.label}: {name}{far}", end="", flush=True)
        elif name != self._node:
            print(f"{self.label}: {name}", flush=True)
        self._node = name

    def done(self) -> None:
        start = "\r\033[K" if self.live else ""
        print(f"{start}{self.label}: done ({duration(time.monotonic() - self.start)})", flush=True)
