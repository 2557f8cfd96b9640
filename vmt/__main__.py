"""`python3 -m vmt COMMAND`: sets up an environment of its own inside this folder, then runs the command in it.

This file is read by whatever Python the user has, so it keeps to syntax that old ones parse and says clearly when one
is too old. Everything else lies in `vmt/launch`, which imports the standard library only.
"""

import sys

OLDEST = (3, 10)


def main():
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "vmt: this is Python %d.%d; 3.10 or later is needed. Start it with a newer one, for example "
            "`python3.12 -m vmt ...`.\n" % tuple(sys.version_info[:2])
        )
        return 1
    from .launch.cli import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
