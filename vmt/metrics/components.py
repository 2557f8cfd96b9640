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


def largest(mask: np.ndarray) -> np.ndarray:
    """Only the largest area of each frame: (T,H,W) bool."""
    kept = np.zeros_like(mask)
    for frame, into in zip(mask, kept, strict=True):
        labels, sizes, _ = areas(frame)
        if len(sizes):
            into[:] = labels == 1 + sizes.argmax()
    return kept


def count_components(mask: np.ndarray, speck_share: float = SPECK_SHARE) -> np.ndarray:
    """Things in each frame of a mask (T,H,W): (T,) int. Areas below that share of the frame's largest don't count."""
    sizes = [areas(frame)[1] for frame in np.asarray(mask, bool)]
    return np.array([int((size >= speck_share * size.max()).sum()) if len(size) else 0 for size in sizes])


def one_object_share(mask: np.ndarray, speck_share: float = SPECK_SHARE) -> float:
    """Share of the frames of a mask (T,H,W) that show exactly one connected thing, 0..1."""
    return float((count_components(mask, speck_share) == 1).mean())
