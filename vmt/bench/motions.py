"""The named motions of the bench in four categories, those of Follow-Your-Motion's MotionBench (arXiv 2506.05207).

Each is drawn afresh from a seed, so that any number of cases exists. Adding a motion is adding a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import torch

from ..errors import InputError, check_choice
from ..synthetic.figure import FIGURE_MOTIONS, make_figure
from ..synthetic.motions import CAMERA_MOTIONS, OBJECT_MOTIONS, object_path
from ..synthetic.unseen import UNSEEN_CAMERA_MOTIONS, UNSEEN_FIGURE_MOTIONS, UNSEEN_OBJECT_MOTIONS
from . import kinds, pairs

CATEGORIES = ("camera", "single_object", "multiple_objects", "complex_motion")
OBJECTS = OBJECT_MOTIONS | UNSEEN_OBJECT_MOTIONS
CAMERAS = CAMERA_MOTIONS | UNSEEN_CAMERA_MOTIONS
FIGURES = FIGURE_MOTIONS | UNSEEN_FIGURE_MOTIONS
SLOW, BRISK = (1.0, 1.5), (1.8, 2.4)  # cycles of a figure
MOST_DRAWS = 10_000


@dataclass(frozen=True)
class Motion:
    """`draw` gives, by its category: `camera` (rng, num_frames, extent) -> (T,2,3) about the frame's centre;
    `single_object` (rng, room, num_frames) -> (T,2); `multiple_objects` (rng, num_frames) -> two paths in a square from
    -1 to 1; `complex_motion` (rng, colour, num_frames, height, width) -> Figure."""

    name: str
    category: str
    unseen: bool  # of a family that no scene of training shows
    draw: Callable


def until(fits: Callable, draw: Callable):
    """What `draw` gives, drawn again until `fits` says that it is of the kind."""
    for _ in range(MOST_DRAWS):
        drawn = draw()
        if fits(drawn):
            return drawn
    raise InputError(f"None of {MOST_DRAWS} draws is of the kind asked for. Loosen what tells it from its family.")


def _object(name: str, family: str, fits: Callable = lambda path: True) -> Motion:
    def draw(rng, room, num_frames):
        return until(fits, lambda: object_path(family, rng, room, num_frames, OBJECTS))

    return Motion(name, "single_object", family in UNSEEN_OBJECT_MOTIONS, draw)


def _camera(name: str, family: str, fits: Callable) -> Motion:
    def draw(rng, num_frames, extent):
        return until(lambda camera: fits(camera, extent), lambda: CAMERAS[family](rng, num_frames, extent))

    return Motion(name, "camera", family in UNSEEN_CAMERA_MOTIONS, draw)


def _figure(name: str, family: str, cycles: tuple[float, float], fits: Callable = lambda bones: True) -> Motion:
    def draw(rng, colour, num_frames, height, width):
        one = partial(make_figure, family, colour, rng, num_frames, height, width, FIGURES, cycles)
        return until(lambda figure: fits(figure.bones), one)

    return Motion(name, "complex_motion", family in UNSEEN_FIGURE_MOTIONS, draw)


def _pair(name: str, pattern: pairs.Pattern, unseen: bool, quarters: int = 0, mirrored: bool = False) -> Motion:
    def draw(rng, num_frames):
        paths = pattern(rng, torch.linspace(0, 1, num_frames))
        return pairs.turned(pairs.mirrored(paths) if mirrored else paths, quarters)

    return Motion(name, "multiple_objects", unseen, draw)


def _objects() -> list[Motion]:
    heads, turns, swings = kinds.heads, kinds.turns, kinds.swings
    straight = [_object(f"line {way}", "line", heads(way)) for way in kinds.DIRECTIONS]
    quarters = [
        _object(f"{family} {way}", family, heads(way, 4))
        for family in ("accelerate", "stop", "zigzag", "stop_and_go")
        for way in pairs.QUARTERS
    ]
    sides = [_object(f"bounce {way}", "bounce", heads(way, 4)) for way in ("right", "left")]
    swinging = [_object(f"swing {way}", "swing", swings(way)) for way in kinds.DIRECTIONS[:4]]
    round_ways = [
        _object(f"{family} {'clockwise' if clockwise else 'anticlockwise'}", family, turns(clockwise))
        for family in ("arc", "orbit", "round_the_corners")
        for clockwise in (True, False)
    ]
    others = [
        _object("wander", "wander"),
        _object("eight lying", "eight", swings("right")),
        _object("eight standing", "eight", swings("down")),
        _object("spiral inwards", "spiral", kinds.shrinks(True)),
        _object("spiral outwards", "spiral", kinds.shrinks(False)),
    ]
    return straight + quarters + sides + swinging + round_ways + others


def _cameras() -> list[Motion]:
    paces, ins, senses = (
        (("slow", False), ("fast", True)),
        (("in", True), ("out", False)),
        (("clockwise", True), ("anticlockwise", False)),
    )
    found = [
        _camera(f"pan {way} {pace}", "pan", kinds.pans(way, fast)) for way in kinds.DIRECTIONS for pace, fast in paces
    ]
    found += [
        _camera(f"zoom {side} {pace}", "zoom", kinds.zooms(inwards, fast))
        for side, inwards in ins
        for pace, fast in paces
    ]
    found += [
        _camera(f"roll {sense} {pace}", "roll", kinds.rolls(clockwise, fast))
        for sense, clockwise in senses
        for pace, fast in paces
    ]
    found += [
        _camera(f"shake {how}", "shake", kinds.shakes(strong)) for how, strong in (("gentle", False), ("strong", True))
    ]
    found += [_camera(f"pan_and_back {way}", "pan_and_back", kinds.heads_off(way)) for way in pairs.QUARTERS]
    found += [_camera(f"zoom_and_back {side}", "zoom_and_back", kinds.zooms(inwards)) for side, inwards in ins]
    for side, inwards in ins:
        found += [
            _camera(
                f"pan_and_zoom {side} {way}", "pan_and_zoom", kinds.both(kinds.zooms(inwards), kinds.heads_off(way))
            )
            for way in ("right", "left")
        ]
        found += [
            _camera(
                f"roll_and_zoom {side} {sense}",
                "roll_and_zoom",
                kinds.both(kinds.zooms(inwards), kinds.rolls(clockwise)),
            )
            for sense, clockwise in senses
        ]
    return found


def _pairs() -> list[Motion]:
    found = [
        _pair(f"{pattern.__name__} {pairs.QUARTERS[quarter]}", pattern, patterns is pairs.UNSEEN, quarter)
        for patterns in (pairs.SEEN, pairs.UNSEEN)
        for pattern, quarters in patterns.items()
        for quarter in range(quarters)
    ]
    return found + [
        _pair(
            f"{pattern.__name__} {'anticlockwise' if mirrored else 'clockwise'}", pattern,
            patterns is pairs.UNSEEN_TURNING, mirrored=mirrored,
        )
        for patterns in (pairs.SEEN_TURNING, pairs.UNSEEN_TURNING)
        for pattern in patterns
        for mirrored in (False, True)
    ]  # fmt: skip


def _figures() -> list[Motion]:
    found = []
    for pace, cycles in (("slow", SLOW), ("brisk", BRISK)):
        for side, right in (("right", True), ("left", False)):
            found += [
                _figure(f"walk {side} {pace}", "walk", cycles, kinds.walks(right)),
                _figure(f"wave {side} {pace}", "wave", cycles, kinds.uses(kinds.HANDS, right)),
                _figure(f"kick {side} {pace}", "kick", cycles, kinds.uses(kinds.FEET, right)),
            ]
            found += [
                _figure(
                    f"walk_and_wave {way} with the {side} {pace}", "walk_and_wave", cycles,
                    kinds.both(kinds.walks(way == "right"), kinds.lifts(right)),
                )
                for way in ("right", "left")
            ]  # fmt: skip
        found += [
            _figure(f"jump {how} {pace}", "jump", cycles, kinds.rises(high))
            for how, high in (("low", False), ("high", True))
        ]
        found += [_figure(f"{family} {pace}", family, cycles) for family in ("turn", "jumping_jack", "squat")]
    return found


def _in_turns(found: list[Motion]) -> tuple[Motion, ...]:
    """One of each family, then the next of each, so that few cases show all families."""
    families: dict[str, list[Motion]] = {}
    for motion in found:
        families.setdefault(motion.name.split()[0], []).append(motion)
    rounds = zip_longest(*families.values())
    return tuple(motion for one_round in rounds for motion in one_round if motion is not None)


MOTIONS: dict[str, tuple[Motion, ...]] = {
    category: _in_turns(found)
    for category, found in zip(CATEGORIES, (_cameras(), _objects(), _pairs(), _figures()), strict=True)
}


def motions_of(category: str) -> tuple[Motion, ...]:
    """All motions of a category. Raises InputError for another one."""
    check_choice("category", category, CATEGORIES)
    return MOTIONS[category]
