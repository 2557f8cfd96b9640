"""The demo model's own draws and what they should have been: the same thing on the same ground, moving evenly.

A model draws by many steps, each from what it drew before, and was never shown what its own mistakes look like. Here it
draws clips of training prompts; where the thing goes is then smoothed and, where it is slow, made faster, the clip is
drawn again with it, and the model learns, at each point of the way it took, to end there (`train_corrections`).
Learning on the states one's own policy comes to is DAgger (arXiv 1011.0686).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..flow_matching import seeded_noise
from ..metrics.centroid import mask_track, object_mask
from ..metrics.components import count_components
from ..metrics.trajectory import longest_step
from ..synthetic.render import render
from ..synthetic.sample import sample_scene
from ..synthetic.scene import Scene, SceneObject
from .precision import fast
from .sampling import decode, euler
from .shards import shards
from .train_dit import compiled, encoded, velocity
from .vocabulary import COLOURS, encode, tokenize
from .wan_dit import WanDiT
from .wan_vae import WanVAE

FOLDER = "corrections"
SHARD = 64  # draws in one file
STEPS, SHIFT, CFG = 20, 5.0, 4.0  # as the model is judged
LOWEST = 0.4  # noise level; below it a thing stays where it is
MOST = 1.8  # longest step of an even path, in median steps
BRISK = 2.2  # pixels: the median step that a quarter of the data stays below; slower paths are scaled towards it
FASTER = 2.0  # ... by no more than this
STILL_GROUND = 0.01  # mean change of the ground over time, 0..1, above which the camera moves
EDGE = 3  # pixels around a thing that are drawn again with it
SIZES = 0.12, 0.175  # of the frame's side: about those of training
ANGLES = (-0.1, -0.05, 0.0, 0.05, 0.1)  # radians, tried for the new thing


class Corrections(NamedTuple):
    """N draws. L noise levels of their way, falling.

    x: (N,L,16,F,h,w) float16 where the way was; wanted, unguided: velocities the model gave there, under the prompt and
    the null prompt. end: (N,16,F,h,w) float16, the draw's latent; shift: that of the corrected clip minus it.
    sigmas: (L,). words: (N,M) numbers of the prompt.
    """

    x: Tensor
    wanted: Tensor
    unguided: Tensor
    end: Tensor
    shift: Tensor
    sigmas: Tensor
    words: Tensor


def even_path(track: np.ndarray, trusted: np.ndarray, most: float = MOST) -> np.ndarray:
    """The nearest smooth path (T,2) no step of which is longer than `most` times the median step.

    It minimises sum over trusted frames of |p - track|^2 + stiffness * sum |second difference of p|^2, with the lowest
    stiffness of a row that will do. The stiffest is a straight line at even speed, so there always is one.

    Args:
        track: (T,2) pixels. trusted: (T,) bool, frames in which the thing was really there; two or more.
    """
    bend = np.diff(np.eye(len(track)), 2, axis=0)
    weight = np.diag(trusted.astype(float))
    for stiffness in np.geomspace(3, 3e6, 42):
        path = np.linalg.solve(weight + stiffness * bend.T @ bend, weight @ track)
        if longest_step(path) <= most:
            break
    return path


def brisk_path(track: np.ndarray, trusted: np.ndarray, room: tuple[float, float]) -> np.ndarray:
    """`even_path` of a way scaled about its middle until the median step is that of the data; fast ones stay.

    Each round of smoothing takes some of the motion away, and a thing that hardly moves moves unevenly.

    Args:
        track, trusted: as in `even_path`. room: lowest and highest coordinate, pixels, in which the path has to stay.
    """
    path = even_path(track, trusted)
    low, high = path.min(0), path.max(0)
    step = np.median(np.linalg.norm(np.diff(path, axis=0), axis=-1))
    times = np.clip(BRISK / max(step, 1e-6), 1, FASTER)
    times = max(1.0, min(times, *((room[1] - room[0]) / np.maximum(high - low, 1e-6))))
    if times == 1:
        return path
    middle = (low + high) / 2
    path = even_path(middle + times * (track - middle), trusted)
    low, high = path.min(0), path.max(0)
    return path + np.maximum(room[0] - low, 0) + np.minimum(room[1] - high, 0)


def corrected(scene: Scene, frames: Tensor) -> Tensor | None:
    """The clip as it should have been: the thing whole, in every frame, on an even path.

    Args:
        scene: what the prompt was made of, with one thing. frames: (T,H,W,3) float 0..1, as drawn.
    Returns:
        frames as above, or None where there is nothing to go by: no single thing in half of the frames, or a ground
        that moves.
    """
    mask = object_mask(frames)
    track, visible = mask_track(mask)
    track, trusted = track.double().numpy(), visible.numpy() & (count_components(mask) == 1)
    ground = _ground(frames.numpy(), mask)
    if trusted.mean() < 0.5 or ground is None:
        return None
    thing, area = scene.objects[0], np.median(mask[trusted].sum((1, 2)))
    side = mask.shape[1]
    path = brisk_path(track, trusted, (SIZES[1] * side, (1 - SIZES[1]) * side))

    def drawn(path: np.ndarray, size: float, angle: float):
        moved = SceneObject(
            thing.shape, thing.colour, size, torch.from_numpy(path).float(), torch.full((len(path),), angle)
        )
        return render(Scene(scene.ground, scene.camera, [moved]))

    size = thing.size * float(area / drawn(path, thing.size, 0.0).masks[0].sum((1, 2)).median()) ** 0.5
    size = min(max(size, SIZES[0] * side), SIZES[1] * side)
    overlap = {angle: np.minimum(drawn(track, size, angle).masks[0].numpy(), mask).sum() for angle in ANGLES}
    clip = drawn(path, size, max(overlap, key=overlap.get))
    cover, there = clip.masks[0][..., None], torch.from_numpy(_around(mask))[..., None]
    bare = torch.where(there, torch.from_numpy(ground), frames)
    return bare * (1 - cover) + torch.tensor(COLOURS[thing.colour]) / 255 * cover


def _around(mask: np.ndarray) -> np.ndarray:
    square = np.ones((2 * EDGE + 1,) * 2, np.uint8)
    return np.stack([cv2.dilate(frame.astype(np.uint8), square) for frame in mask]).astype(bool)


def _ground(frames: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """(H,W,3) what is behind the thing; None if it does not stay as it is."""
    bare = np.ma.masked_array(frames, np.repeat(_around(mask)[..., None], 3, -1))
    ground = np.ma.median(bare, 0)
    if np.ma.abs(bare - ground).mean() > STILL_GROUND:
        return None
    never = np.ma.getmaskarray(ground)[..., 0].astype(np.uint8)
    filled = cv2.inpaint((255 * ground.filled(0)).astype(np.uint8), never, 3, cv2.INPAINT_TELEA)
    return np.where(never[..., None], filled / np.float32(255), ground.filled(0)).astype(np.float32)


@torch.no_grad()
def make_corrections(
    folder: Path, dit: WanDiT, vae: WanVAE, count: int, device: str = "cpu", say=print, until: float = float("inf"),
    batch: int = 8, first: int = 0, pairs: Collection[tuple[str, str]] = (),
) -> Corrections:  # fmt: skip
    """Corrections of about so many draws of training prompts, made once and kept in shards under `folder`.

    Args:
        first: number of the first draw; rounded down to whole shards, as `count` is up.
        pairs: colours of thing and ground to draw alone; none: all there are.
    Raises:
        TimeoutError: it is past `until`; what is made is kept.
        InputError: no draw can be corrected.
    """
    said = partial(compiled(velocity), dit)

    def make(shard: int) -> dict[str, Tensor]:
        numbers = range(SHARD * shard, SHARD * (shard + 1))
        scenes = [own_scene(number, pairs) for number in numbers]
        return _joined([
            draw_and_correct(said, vae, scenes[i : i + batch], 700_000 + numbers[i], device)
            for i in range(0, SHARD, batch)
        ])._asdict()  # fmt: skip

    def told(made: int, seconds: float) -> None:
        say(f"own draws corrected: {made * SHARD}/{count}  {seconds:.0f} s")

    wanted = range(first // SHARD, first // SHARD - (-count // SHARD))
    draws = _joined([Corrections(**shard) for shard in shards(folder / FOLDER, wanted, make, told, until)])
    if not len(draws.x):
        raise InputError(
            f"Of {count} draws none shows a single thing on a still ground: nothing can be corrected. "
            "Train the model longer first (--steps), or leave corrections out (--corrections 0)."
        )
    return Corrections(*(tensor.to(device) for tensor in draws))


def _joined(parts: list[Corrections]) -> Corrections:
    joined = {name: torch.cat([getattr(part, name) for part in parts]).contiguous() for name in Corrections._fields}
    return Corrections(**{**joined, "sigmas": parts[0].sigmas})


def own_scene(number: int, pairs: Collection[tuple[str, str]] = ()) -> Scene:
    """The scene whose prompt draw `number` has: one thing, a combination of training."""
    rng = Random(f"own {number}")
    while True:
        scene = sample_scene(rng, "single")
        if not pairs or (scene.objects[0].colour, scene.ground.colour) in pairs:
            return scene


def draw_and_correct(said: Callable, vae: WanVAE, scenes: list[Scene], seed: int, device: str) -> Corrections:
    """One draw of each scene's prompt, from the noise of `seed` and those after it, less those that none can mend."""
    captions = [scene.caption for scene in scenes]
    context = torch.stack([encode(text)[0] for text in [*captions, *[""] * len(scenes)]]).to(device)
    side = scenes[0].camera.shape[0] // 4 + 1
    x = torch.stack([seeded_noise((16, side, 16, 16), seed + i) for i in range(len(scenes))]).to(device)
    way: dict[float, tuple] = {}

    def seen(level, *tensors):
        if level > LOWEST:
            way[level] = tensors

    with fast(device):
        x = euler(said, x, context, STEPS, CFG, SHIFT, seen)
    kept, shifts = [], []
    for i, (scene, frames) in enumerate(zip(scenes, decode(vae, x), strict=True)):
        better = corrected(scene, frames)
        if better is not None:
            kept.append(i)
            shifts.append(encoded(vae, better[None].to(device)) - encoded(vae, frames[None].to(device)))
    ways, wanted, unguided = (torch.stack(tensors, 1)[kept].half().cpu() for tensors in zip(*way.values(), strict=True))
    shift = torch.cat(shifts).half().cpu() if kept else ways.new_empty(0, *ways.shape[2:])
    words = torch.tensor([tokenize(caption)[0] for caption in captions])[kept]
    return Corrections(ways, wanted, unguided, x[kept].half().cpu(), shift, torch.tensor(list(way)), words)
