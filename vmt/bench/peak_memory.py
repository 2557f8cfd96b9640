"""The most memory that a process has held. Linux only: elsewhere nothing is told."""

from pathlib import Path


def peak_bytes(pid: int) -> int | None:
    """Resident memory at its highest, libraries and weights included; None where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return None if kilobytes is None else 1024 * int(kilobytes)
