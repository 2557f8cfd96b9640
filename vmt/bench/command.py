"""`python3 -m vmt bench ...`: its parts."""

from __future__ import annotations

import sys

from ..errors import InputError
from . import cost, memory, transfer

PARTS = {"transfer": transfer.main, "cost": cost.main, "memory": memory.main}


def main(argv: list[str]) -> int:
    """Returns the exit status; 2 for input that does not fit, told on stderr."""
    if argv[:1] and argv[0] in PARTS:
        try:
            return PARTS[argv[0]](argv[1:])
        except InputError as error:
            print(f"vmt: {error}", file=sys.stderr)
            return 2
    print(f"usage: python3 -m vmt bench {{{','.join(PARTS)}}} ...; each has --help", file=sys.stderr)
    return 0 if argv[:1] in (["-h"], ["--help"]) else 2
