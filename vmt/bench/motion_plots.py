"""Small plots of one case for the page: the ways of what moves, or the camera's, in a plot for each clip."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import torch

from ..demo.vocabulary import COLOURS
from ..metrics.camera import PARAMETERS, CameraMotion, camera_of_affines, fit_camera, without_camera
from ..metrics.centroid import mask_track, object_mask
from ..metrics.moving_region import moving_centre
from ..metrics.tracks import follow_grid
from .case import Case, HasFrames

SIDE, ROW = 150, 38  # pixels: of a plot, and of a line of the camera's
COLOUR, REFERENCE_COLOUR = "#2a6fbb", "#e88b1a"  # of results in plots, and of what they are held against
LIGHT, GREY = "#f4f4f4", "#8c8c8c"  # grounds; things of every colour stand out from the grey
WIDE, NARROW = 4, 2
SEEN_SHARE = 0.5  # of the frames: a colour that is seen in fewer is no thing's


@dataclass(frozen=True)
class Way:
    """points (T,2) (row, col) pixels, and whether each is seen; the colour of the thing, "" for what has none."""

    points: np.ndarray
    seen: np.ndarray
    colour: str = ""


def motion_plots(case: Case, clip: HasFrames, results: dict[str, torch.Tensor], reference: str) -> str:
    """HTML of the plots.

    Args:
        clip: of the case. results: name -> frames (T,H,W,3). reference: what the clip is called.
    """
    size, plots = tuple(clip.frames.shape[1:3]), []
    camera = getattr(clip, "camera", None)  # known of drawn clips only
    if camera is not None and clip.camera_moves:
        truth = camera_of_affines(camera, size)
        found = {name: fit_camera(follow_grid(frames)) for name, frames in results.items()}
        plots.append(_cameras(truth, found, reference))
    if case.one_thing or case.colours or camera is None:
        ways = {name: _ways(case, frames) for name, frames in {reference: clip.frames, **results}.items()}
        plots.append(_paths(ways, size, reference, bool(case.colours)))
    return "".join(plots)


def _ways(case: Case, frames: torch.Tensor) -> list[Way]:
    if case.colours:
        found = [Way(*mask_track(object_mask(frames, colour)), colour) for colour in case.colours]
        return [way for way in found if np.mean(np.asarray(way.seen)) >= SEEN_SHARE]
    if case.one_thing:
        return [Way(*mask_track(object_mask(frames)))]
    tracks = follow_grid(frames)
    return [Way(*moving_centre(without_camera(tracks, fit_camera(tracks))))]


def _paths(ways: dict[str, list[Way]], size: tuple[int, int], reference: str, coloured: bool) -> str:
    """Of all clips in one scale, the reference's ways below each result's."""
    scale = SIDE / max(size)
    height, width = (side * scale for side in size)
    below = "".join(_way(way, scale, REFERENCE_COLOUR, WIDE) for way in ways[reference])
    plots = []
    for name, mine in ways.items():
        above = "".join(_way(way, scale, COLOUR, NARROW) for way in mine) if name != reference else ""
        plots.append(_plot(name, (width, height), below + above, GREY if coloured else LIGHT))
    told = "each thing's way in its colour; wide: the" if coloured else "the way of what moves; orange: the"
    return _figure("ways", plots, f"{told} reference's")


def _way(way: Way, scale: float, colour: str, width: int) -> str:
    seen = np.asarray(way.seen, bool)
    points = np.asarray(way.points)[seen][:, ::-1] * scale
    return _line(points, _css(way.colour) or colour, width, dot=True)


def _css(colour: str) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[colour]) if colour else ""


def _cameras(truth: CameraMotion, found: dict[str, CameraMotion], reference: str) -> str:
    """Each parameter summed up over time in a line of its own, all in one scale."""
    whole = _summed(truth)
    reach = max(1.0, np.abs(whole).max() * 1.1)
    below = _parameter_names() + _parameter_lines(whole, reach, REFERENCE_COLOUR, WIDE)
    size = (SIDE, ROW * len(PARAMETERS))
    plots = [_plot(reference, size, below, LIGHT)]
    for name, camera in found.items():
        above = _parameter_lines(_summed(camera), reach, COLOUR, NARROW)
        plots.append(_plot(name, size, below + above, LIGHT))
    return _figure("camera", plots, f"the camera's way, {reach:.0f} pixels up or down at most; orange: the reference's")


def _summed(camera: CameraMotion) -> np.ndarray:
    """(T,4); what is not known of a step counts as none."""
    steps = np.where(camera.known[:, None], camera.steps, 0)
    return np.concatenate([np.zeros((1, len(PARAMETERS))), np.cumsum(steps, 0)])


def _parameter_lines(path: np.ndarray, reach: float, colour: str, width: int) -> str:
    across = np.linspace(0, SIDE, len(path))
    return "".join(
        _line(np.stack([across, ROW * (row + 0.5 - 0.5 * np.clip(values / reach, -1, 1))], 1), colour, width)
        for row, values in enumerate(path.T)
    )


def _parameter_names() -> str:
    return "".join(
        f"<line x1='0' x2='{SIDE}' y1='{ROW * (row + 0.5)}' y2='{ROW * (row + 0.5)}' stroke='#ccc'/>"
        f"<text x='2' y='{ROW * row + 11}' fill='#888'>{name}</text>"
        for row, name in enumerate(PARAMETERS)
    )


def _plot(name: str, size: tuple[float, float], drawn: str, ground: str) -> str:
    width, height = size
    return (
        f"<svg width='{width:.0f}' height='{height + 18:.0f}' style='display:inline-block; margin-right:6px' "
        f"font-size='12'><rect width='{width:.0f}' height='{height:.0f}' fill='{ground}'/>{drawn}"
        f"<text x='2' y='{height + 14:.0f}'>{escape(name)}</text></svg>"
    )


def _line(points: np.ndarray, colour: str, width: int, dot: bool = False) -> str:
    """Points (N,2) of x and y; the dot is where it begins."""
    told = [f"{x:.1f},{y:.1f}" for x, y in points]
    style = f"fill='none' stroke='{colour}' stroke-width='{width}' stroke-opacity='.8'"
    line = f"<polyline points='{' '.join(told)}' {style}/>"
    if not (dot and told):
        return line
    x, y = points[0]
    return f"{line}<circle cx='{x:.1f}' cy='{y:.1f}' r='{width}' fill='{colour}'/>"


def _figure(kind: str, plots: list[str], told: str) -> str:
    return f"<figure class='{kind}'>{''.join(plots)}<figcaption>{told}</figcaption></figure>"
