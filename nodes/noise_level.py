"""The input for a noise level, the same in every node that has one."""

from comfy_api.latest import io


def noise_level(name: str, default: float, tooltip: str, highest: float = 1.0, optional: bool = False):
    """An input from 0, a clean video, to `highest`; 1 is noise alone."""
    return io.Float.Input(
        name, default=default, min=0.0, max=highest, step=0.01, round=0.0001, optional=optional, tooltip=tooltip
    )
