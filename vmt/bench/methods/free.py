"""The preset free."""

from ...guidance.presets import PRESETS
from .method import Method, with_preset

METHOD = Method(f"preset free: {PRESETS['free'].about}", with_preset("free"))
