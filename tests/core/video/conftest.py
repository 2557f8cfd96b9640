import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def clips():
    """The clip writer that the host tests share."""
    spec = importlib.util.spec_from_file_location("vmt_test_clips", Path(__file__).parents[2] / "clips.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
