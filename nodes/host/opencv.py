"""OpenCV, which ComfyUI does not bring: the nodes that measure need it, and all others load without it."""

from ...vmt.errors import InputError


def check_opencv() -> None:
    """Raises InputError if OpenCV is missing."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"OpenCV cannot be loaded ({error}); this node measures with it. Run `pip install opencv-python-headless` "
            "with the Python that runs ComfyUI, and restart ComfyUI."
        ) from error
