"""The three errors this package raises on purpose.

A message has three parts in this order: what was given, what is allowed, what to do. It names inputs as the user
sees them, so a node that catches one of these only adds its own name.
"""


class InputError(ValueError):
    """An input cannot run, or would run and be silently wrong. The user can change it."""


class UnsupportedModelError(InputError):
    """The model lacks what a method needs: another architecture, no such block, attention replaced elsewhere."""


class StateError(RuntimeError):
    """Something went wrong while running that no single input explains: NaN, a missing gradient, a lost hook."""
