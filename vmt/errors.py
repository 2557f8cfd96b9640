"""The three errors this package raises on purpose.

A message has three parts in this order: what was given, what is allowed, what to do. It names inputs as the user
sees them, so a node that catches one of these only adds its own name.
"""


class InputError(ValueError):
    """An input cannot run, or would run and be silently wrong. The user can change it."""


def check_choice(name: str, value, allowed) -> None:
    """Raises InputError if `value` is not one of `allowed`, a list of names or numbers."""
    if value not in allowed:
        *others, last = (str(choice) for choice in allowed)
        names = f"{', '.join(others)} or {last}" if others else last
        raise InputError(f"{name} is {value!r}; {names} is allowed. Choose one of them.")


class UnsupportedModelError(InputError):
    """The model lacks what a method needs: another architecture, no such block, attention replaced elsewhere."""


class StateError(RuntimeError):
    """Something went wrong while running that no single input explains: NaN, a missing gradient, a lost hook."""
