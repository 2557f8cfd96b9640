"""Connected areas of a mask, frame by frame."""

from __future__ import annotations

import cv2
import numpy as np

SPECK_SHARE = 0.1  # of the largest area of the frame: what is smaller is not counted as a thing


def areas(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one frame's mask (H,W) bool: labels (H,W) from 1 on, pixels (N,) and centroids (N,2) as (row, col)."""
    _, labels, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels, stats[1:, cv2.CC_STAT_AREA], centroids[1:, ::-1]


def drop_small(mask: np.ndarray, pixels: float) -> np.ndarray:
    """The mask (T,H,W) without areas of fewer pixels than that."""
    kept = np.zeros_like(mask)
    for frame, into in zip(mask, kept, strict=True):
        labels, sizes, _ = areas(frame)
        into[:] = np.concatenate([[False], sizes >= pixels])[labels]
    return kept


def count_components(mask: np.ndarray) -> np.ndarray:
    """Things in each frame of a mask (T,H,W): (T,) int. Areas below a tenth of the frame's largest don't count."""
    sizes = [areas(frame)[1] for frame in np.asarray(mask, bool)]
    return np.array([int((size >= SPECK_SHARE * size.max()).sum()) if len(size) else 0 for size in sizes])


def one_object_share(mask: np.ndarray) -> float:
    """Share of the frames of a mask (T,H,W) that show exactly one connected thing, 0..1."""
    return float((count_components(mask) == 1).mean())
