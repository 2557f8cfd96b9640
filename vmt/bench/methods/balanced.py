"""The preset balanced."""

from ...guidance.presets import PRESETS
from .method import Method, with_preset

METHOD = Method(f"preset balanced: {PRESETS['balanced'].about}", with_preset("balanced"))
