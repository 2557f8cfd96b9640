"""The preset quality."""

from ...guidance.presets import PRESETS
from .method import Method, with_preset

METHOD = Method(f"preset quality: {PRESETS['quality'].about}", with_preset("quality"))
