"""What tests of LoRA files and of tuning share."""

from contextlib import contextmanager

import pytest


@pytest.fixture
def full_disk():
    """full_disk() -> a block in which the system refuses to let any file grow, as on a full disk, whoever writes it."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")

    @contextmanager
    def limited():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # bytes
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
