"""Cases of the bench: a reference whose motion is known, a prompt for something else, and a seed.

Every case comes from (category, seed, number) alone, so it is the same on every machine; a category's motions take
turns. Colours, shapes and grounds are combinations that training never shows, though each by itself is known; some
motions it never shows either (`Motion.unseen`), which is all that is held out of figures and of cameras without a
thing. The prompt names as many things as the reference shows, all of other words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch

from ..demo.vocabulary import COLOURS, GROUNDS, SHAPES, TEXTURES
from ..errors import InputError
from ..synthetic.motions import about_centre, identity
from ..synthetic.render import Clip, render
from ..synthetic.sample import is_held_out
from ..synthetic.scene import Figure, Ground, Scene, SceneObject, project
from ..synthetic.shapes import bounding_radius
from .case import Figures
from .judge import judge
from .motions import CATEGORIES, Motion, motions_of

NUM_FRAMES, SIZE = 33, 128
SPLITS = {"v1": 0}  # public splits: name -> seed


@dataclass(frozen=True, eq=False)  # a case is itself: what was measured of it can be kept for it
class BenchCase:
    """The motion of `reference` is to appear on what `prompt.caption` names; the prompt scene's own motion is none.

    further: which of the prompts for that reference it is.
    """

    category: str
    number: int
    motion: Motion
    reference: Scene
    prompt: Scene
    seed: int
    further: int = 0
    fault: str = ""

    @property
    def name(self) -> str:
        return self.clip_name + (f"-prompt{self.further}" if self.further else "")

    @property
    def clip_name(self) -> str:
        return f"{self.category}-{self.number:03d}"

    @property
    def about(self) -> str:
        return self.motion.name

    @property
    def caption(self) -> str:
        return self.prompt.caption

    @property
    def told(self) -> str:
        return f"reference: {self.reference.caption}; prompt: {self.caption}; seed {self.seed}"

    @property
    def one_thing(self) -> bool:
        return len(self.prompt.objects) == 1 or self.prompt.figure is not None

    @property
    def colours(self) -> tuple[str, ...]:
        things = [*self.reference.objects, *self.prompt.objects]
        return tuple(thing.colour for thing in things) if len(self.prompt.objects) > 1 else ()

    def clip(self) -> Clip:
        return render(self.reference)

    def perfect_transfer(self) -> torch.Tensor:
        shown, named = self.reference, self.prompt
        things = [
            replace(moving, shape=thing.shape, colour=thing.colour)
            for moving, thing in zip(shown.objects, named.objects, strict=True)
        ]
        figure = shown.figure and replace(shown.figure, colour=named.figure.colour)
        return render(Scene(named.ground, shown.camera, things, figure, shown.camera_motion)).frames

    def figures(
        self, clip: Clip, output: torch.Tensor, unguided: torch.Tensor | None, shows_reference: bool
    ) -> Figures:
        return judge(self, clip, output, unguided, self.reference if shows_reference else self.prompt)

    def listed(self) -> dict:
        """The case as a public list keeps it: `places` tells where the reference's things (of a camera without one, the
        frame's corner) are in its first, middle and last frame, in pixels."""
        scene = self.reference
        if scene.figure is not None:
            world = scene.figure.bones.mean((1, 2))[None]
        elif scene.objects:
            world = torch.stack([thing.centre for thing in scene.objects])
        else:
            world = torch.zeros(1, NUM_FRAMES, 2)
        places = project(scene.camera, world)[:, [0, NUM_FRAMES // 2, NUM_FRAMES - 1]]
        return {
            "case": self.name,
            "motion": self.motion.name,
            "unseen_motion": self.motion.unseen,
            "reference": scene.caption,
            "prompt": self.prompt.caption,
            "seed": self.seed,
            "places": [[round(float(x), 1) for x in place] for place in places.flatten(0, 1)],
        }


def write_split(name: str, path: Path, num: int = 64) -> None:
    """The public list of a split as JSON, a case a line: what others compare with, and a test with what is drawn."""
    cases = [case for category in CATEGORIES for case in bench_cases(category, num, SPLITS[name])]
    lines = ",\n".join(json.dumps(case.listed()) for case in cases)
    path.write_text(
        f'{{"split": "{name}", "seed": {SPLITS[name]}, "cases": [\n{lines}\n]}}\n', encoding="utf-8", newline="\n"
    )


def bench_cases(category: str, num: int, seed: int = 0, prompts: int = 1) -> list[BenchCase]:
    """The first `num` references of a category, each with so many prompts, a case each.

    Raises:
        InputError: another category, or none at all.
    """
    motions = motions_of(category)
    if min(num, prompts) < 1:
        raise InputError(
            f"{num} cases of {prompts} prompts were asked for; 1 or more are needed. Change --cases or --prompts."
        )
    return [
        _case(category, number, motions[number % len(motions)], seed, further)
        for number in range(num)
        for further in range(prompts)
    ]


def _case(category: str, number: int, motion: Motion, seed: int, further: int) -> BenchCase:
    rng = Random(f"bench {category} {seed} {number}")
    things = {"camera": number % 2, "single_object": 1, "multiple_objects": 2, "complex_motion": 0}[category]
    figure = category == "complex_motion"
    textured = category == "camera"
    words = _words(rng, things, figure, textured)
    reference = _BUILDERS[category](rng, motion, words)
    if further:
        rng = Random(f"bench {category} {seed} {number} prompt {further}")
    prompt = _still(rng, _words(rng, things, figure, textured, unlike=words))
    return BenchCase(category, number, motion, reference, prompt, rng.randrange(1 << 31), further)


@dataclass(frozen=True)
class _Words:
    things: tuple[tuple[str, str], ...]  # (colour, shape)
    ground: Ground
    figure: str | None  # its colour

    @property
    def colours(self) -> set[str]:
        return {colour for colour, _ in self.things} | ({self.figure} if self.figure else set())

    @property
    def shapes(self) -> set[str]:
        return {shape for _, shape in self.things}


def _words(rng: Random, things: int, figure: bool, textured: bool, unlike: _Words | None = None) -> _Words:
    """Held-out words; `unlike`: no colour, shape, ground colour or texture of these."""
    taken_colours, taken_shapes = (unlike.colours, unlike.shapes) if unlike else (set(), set())
    colours = [colour for colour in COLOURS if colour not in taken_colours]
    shapes = [shape for shape in SHAPES if shape not in taken_shapes]
    grounds = [ground for ground in GROUNDS if not unlike or ground != unlike.ground.colour]
    textures = list(TEXTURES)
    if textured:  # what can be followed in both directions, in more than a few shades of black
        grounds = [ground for ground in grounds if ground != "black"]
        textures = [t for t in ("tiled", "spotted") if not unlike or t != unlike.ground.texture]
    while True:
        ground = Ground(
            rng.choice(grounds),
            rng.choice(textures),
            rng.randrange(1 << 20),
            rng.uniform(20, 32),
            rng.uniform(-0.6, 0.6),
        )
        found = tuple(zip(rng.sample(colours, things), rng.sample(shapes, things), strict=True))
        if all(is_held_out(colour, shape, ground.colour) for colour, shape in found):
            return _Words(found, ground, rng.choice(colours) if figure else None)


def _thing(rng: Random, word: tuple[str, str], size: float, path: torch.Tensor, motion: str) -> SceneObject:
    colour, shape = word
    return SceneObject(shape, colour, size, path, torch.full((NUM_FRAMES,), rng.uniform(-0.12, 0.12)), motion)


def _room(shape: str, size: float) -> tuple[tuple[float, float], tuple[float, float]]:
    margin = bounding_radius(shape) * size + 1
    return ((margin, SIZE - 1 - margin),) * 2


def _camera_scene(rng: Random, motion: Motion, words: _Words) -> Scene:
    """A moving camera over a textured ground, with a thing that stands in the world where the words name one."""
    centre = torch.full((2,), (SIZE - 1) / 2)
    while True:
        camera = about_centre(motion.draw(rng, NUM_FRAMES, float(SIZE)), SIZE, SIZE)
        scene = Scene(words.ground, camera, camera_motion=motion.name)
        if not words.things:
            return scene
        place = (centre + torch.tensor([rng.uniform(-30, 30), rng.uniform(-30, 30)])).expand(NUM_FRAMES, 2).clone()
        thing = _thing(rng, words.things[0], rng.uniform(0.11, 0.15) * SIZE, place, "still")
        zoom = torch.linalg.det(camera[..., :2]).sqrt().max()
        margin = bounding_radius(thing.shape) * thing.size * float(zoom)
        seen = project(camera, place)
        if seen.min() >= margin and seen.max() <= SIZE - 1 - margin:
            scene.objects.append(thing)
            return scene


def _object_scene(rng: Random, motion: Motion, words: _Words) -> Scene:
    size = rng.uniform(0.125, 0.17) * SIZE
    path = motion.draw(rng, _room(words.things[0][1], size), NUM_FRAMES)
    return Scene(words.ground, identity(NUM_FRAMES), [_thing(rng, words.things[0], size, path, motion.name)])


def _pair_scene(rng: Random, motion: Motion, words: _Words) -> Scene:
    size = rng.uniform(0.105, 0.135) * SIZE
    paths, middle = motion.draw(rng, NUM_FRAMES), (SIZE - 1) / 2
    things = []
    for word, path in zip(words.things, paths, strict=True):
        (low, high), _ = _room(word[1], size)
        things.append(_thing(rng, word, size, middle + path * (high - low) / 2, motion.name))
    return Scene(words.ground, identity(NUM_FRAMES), things)


def _figure_scene(rng: Random, motion: Motion, words: _Words) -> Scene:
    figure = motion.draw(rng, words.figure, NUM_FRAMES, SIZE, SIZE)
    return Scene(words.ground, identity(NUM_FRAMES), figure=figure)


def _still(rng: Random, words: _Words) -> Scene:
    """What a prompt names, without a motion: for its caption and its words."""
    middle = torch.full((NUM_FRAMES, 2), (SIZE - 1) / 2)
    things = [_thing(rng, word, 0.14 * SIZE, middle, "still") for word in words.things]
    bones = torch.full((NUM_FRAMES, 1, 2, 2), (SIZE - 1) / 2)
    figure = Figure(words.figure, bones, torch.ones(1)) if words.figure else None
    return Scene(words.ground, identity(NUM_FRAMES), things, figure)


_BUILDERS = {
    "camera": _camera_scene,
    "single_object": _object_scene,
    "multiple_objects": _pair_scene,
    "complex_motion": _figure_scene,
}
