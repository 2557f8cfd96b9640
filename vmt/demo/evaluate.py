"""`python3 -m vmt evaluate WHAT`: the demo model judged. Each of them is one file, and knows `--help`."""

from __future__ import annotations

import sys

from ..errors import InputError

USAGE = """\
usage: python3 -m vmt evaluate WHAT ...

  samples    how often the demo model draws what a held-out prompt names
  vae        what is left of held-out clips after its VAE
  transfer   the demo workflow on held-out cases through a real ComfyUI, beside its controls
  sweep      the same with one setting of the method changed at a time
  flow       what of the true motion each way of reading attention sees
  decided    at which noise level the demo model decides how something moves
  camera     whether the ground under a moving camera is seen to move, by attention and in the latent
"""


def main(argv: list[str]) -> int:
    what, rest = argv[0] if argv else "", argv[1:]
    try:
        if what == "samples":
            from .evaluate_samples import main as evaluate
        elif what == "vae":
            from .evaluate_vae import main as evaluate
        elif what == "transfer":
            from .evaluate_transfer import main as evaluate
        elif what == "sweep":
            from .sweep import main as evaluate
        elif what == "flow":
            from .flow_accuracy import main as evaluate
        elif what == "decided":
            from .decided_at import main as evaluate
        elif what == "camera":
            from .camera_accuracy import main as evaluate
        else:
            asked = what in ("-h", "--help", "help")
            print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
            return 0 if asked else 2
        return evaluate(rest)
    except InputError as error:
        print(f"vmt: {error}", file=sys.stderr)
        return 2
