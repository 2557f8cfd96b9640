"""`import vmt` works wherever pytest is started from. The host is added by tests/host, in front of this folder."""

import sys
from pathlib import Path

CLONE = str(Path(__file__).resolve().parents[1])
if CLONE not in sys.path:
    # Last: this folder has a `nodes`, and so has ComfyUI; in the tests `import nodes` must find ComfyUI's.
    sys.path.append(CLONE)

pytest_plugins = ["tiny_wan", "second_device"]  # of tests/helpers: fixtures that tests of guidance and of tuning share
