"""Video files in and out: a reference clip as the model wants it, and plain reading and writing.

`load_reference` never holds more than one source frame beside its result: it looks at the timestamps first, decides
which frames it wants, refuses what cannot work, and only then decodes, from the nearest keyframe on.
"""

from .files import read_video, write_video
from .geometry import FITS, GRID
from .reference import ReferenceClip, ReferenceConfig, load_reference
from .sampling import MIN_FRAMES, snap_frames
from .source import FramesSource, VideoInfo, open_source

__all__ = [
    "FITS",
    "GRID",
    "MIN_FRAMES",
    "FramesSource",
    "ReferenceClip",
    "ReferenceConfig",
    "VideoInfo",
    "load_reference",
    "open_source",
    "read_video",
    "snap_frames",
    "write_video",
]
