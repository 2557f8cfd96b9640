"""What the bench compares: one small file a method, found by its name. Adding one is adding a file with a `METHOD`."""

from __future__ import annotations

import importlib
import pkgutil

from ...errors import check_choice
from .method import Method

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "method"))


def load(name: str) -> Method:
    """The method of the file of that name. Raises InputError for another one."""
    check_choice("method", name, NAMES)
    return importlib.import_module(f".{name}", __name__).METHOD
