"""Drawing scenes: anti-aliased, batched, on any device.

Every pixel is mapped back to the world by the camera, the ground is evaluated there, and the things are laid over it by
their coverage, which is the clamped signed distance to the edge in pixels.
Legend: B clips, T frames, H W pixels, K objects, S bones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..demo.vocabulary import COLOURS, GROUNDS, SHAPES, TEXTURES
from ..errors import InputError, check_choice
from .ground import ground_tone
from .scene import Scene, project
from .shapes import NUM_ANGLES, outline_tables


@dataclass(eq=False)  # a clip is itself: what was measured of it can be kept for it
class Clip:
    """A drawn scene with everything that is known about it.

    frames (T,H,W,3) float32 0..1; tracks_px (K,T,2) pixel (row, col) of each thing's centre (for a figure, the mean
    of its bones); visible (K,T) bool, whether that centre is inside the frame; masks (K,T,H,W) float32, coverage of
    each thing as seen, with what is in front taken away; camera (T,2,3), world to pixel.
    """

    scene: Scene
    frames: torch.Tensor
    tracks_px: torch.Tensor
    visible: torch.Tensor
    masks: torch.Tensor
    camera: torch.Tensor
    caption: str

    @property
    def camera_moves(self) -> bool:
        """Whether it does not stand still from the first frame to the last."""
        return bool((self.camera[1:] != self.camera[:-1]).any())


def _rgb(names: list[str], table: dict[str, tuple[int, int, int]]) -> torch.Tensor:
    for name in names:
        check_choice("colour", name, table)
    return torch.tensor([table[name] for name in names], dtype=torch.float32) / 255


def stack(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """Scenes of equal length as tensors with a leading batch axis; absent objects have size 0.

    Raises:
        InputError: scenes of unequal length, or a colour, shape or texture that is not in the vocabulary.
    """
    if len({scene.num_frames for scene in scenes}) > 1:
        raise InputError(
            f"Scenes of {sorted({scene.num_frames for scene in scenes})} frames were given; one batch holds scenes of "
            "equal length. Draw them one by one."
        )
    for scene in scenes:
        check_choice("texture", scene.ground.texture, TEXTURES)
        for thing in scene.objects:
            check_choice("shape", thing.shape, SHAPES)
    num_objects = max(len(scene.objects) for scene in scenes)
    frames = scenes[0].num_frames
    batch = {
        "camera": torch.stack([scene.camera for scene in scenes]).float(),
        "ground_colour": _rgb([scene.ground.colour for scene in scenes], GROUNDS),
        "texture": torch.tensor([TEXTURES.index(scene.ground.texture) for scene in scenes]),
        "ground_seed": torch.tensor([scene.ground.seed for scene in scenes]),
        "cell": torch.tensor([scene.ground.cell for scene in scenes]).float(),
        "ground_angle": torch.tensor([scene.ground.angle for scene in scenes]).float(),
        "shape": torch.zeros(len(scenes), num_objects, dtype=torch.long),
        "colour": torch.zeros(len(scenes), num_objects, 3),
        "size": torch.zeros(len(scenes), num_objects),
        "centre": torch.zeros(len(scenes), num_objects, frames, 2),
        "angle": torch.zeros(len(scenes), num_objects, frames),
    }
    for b, scene in enumerate(scenes):
        for k, thing in enumerate(scene.objects):
            batch["shape"][b, k] = SHAPES.index(thing.shape)
            batch["colour"][b, k] = _rgb([thing.colour], COLOURS)[0]
            batch["size"][b, k] = thing.size
            batch["centre"][b, k] = thing.centre
            batch["angle"][b, k] = thing.angle
    if any(scene.figure is not None for scene in scenes):
        num_bones = max(scene.figure.thickness.shape[0] for scene in scenes if scene.figure is not None)
        batch["bones"] = torch.zeros(len(scenes), frames, num_bones, 2, 2)
        batch["thickness"] = torch.zeros(len(scenes), num_bones)
        batch["figure_colour"] = torch.zeros(len(scenes), 3)
        for b, scene in enumerate(scenes):
            if scene.figure is not None:
                batch["bones"][b] = scene.figure.bones
                batch["thickness"][b] = scene.figure.thickness
                batch["figure_colour"][b] = _rgb([scene.figure.colour], COLOURS)[0]
    return batch


def draw(batch: dict[str, torch.Tensor], height: int, width: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Frames (B,T,H,W,3) float32 0..1 and the coverage (B,T,H,W) of each thing, objects first, then the figure."""
    camera = batch["camera"]
    device = camera.device
    inverse = torch.linalg.inv(camera[..., :2])
    zoom = torch.linalg.det(camera[..., :2]).abs().sqrt()[..., None, None]
    rows = torch.arange(height, device=device, dtype=torch.float32) - camera[..., 0, 2, None]
    cols = torch.arange(width, device=device, dtype=torch.float32) - camera[..., 1, 2, None]
    world_row = inverse[..., 0, 0, None, None] * rows[..., None] + inverse[..., 0, 1, None, None] * cols[..., None, :]
    world_col = inverse[..., 1, 0, None, None] * rows[..., None] + inverse[..., 1, 1, None, None] * cols[..., None, :]
    tone = ground_tone(world_row, world_col, zoom, batch)
    ground = batch["ground_colour"][:, None, None, None]
    # Partly additive, so that a texture shows on black too.
    frames = ground + (tone[..., None] - 1) * (0.6 * ground + 0.16)
    coverages = []
    for k in range(batch["size"].shape[1]):
        cover = _shape_coverage(world_row, world_col, zoom, batch, k)
        frames = torch.lerp(frames, batch["colour"][:, k, None, None, None].expand_as(frames), cover[..., None])
        coverages.append(cover)
    if "bones" in batch:
        cover = _figure_coverage(world_row, world_col, zoom, batch)
        frames = torch.lerp(frames, batch["figure_colour"][:, None, None, None].expand_as(frames), cover[..., None])
        coverages.append(cover)
    return frames.clamp(0, 1), coverages


def _shape_coverage(world_row, world_col, zoom, batch, k):
    radius_table, slope_table = (table.to(world_row.device) for table in outline_tables())
    size = batch["size"][:, k, None, None, None].clamp_min(1e-6)
    row = world_row - batch["centre"][:, k, :, 0, None, None]
    col = world_col - batch["centre"][:, k, :, 1, None, None]
    theta = torch.atan2(row, col) - batch["angle"][:, k, :, None, None]
    place = torch.remainder((theta + torch.pi) / (2 * torch.pi), 1.0) * NUM_ANGLES
    index = place.round().long() % NUM_ANGLES + batch["shape"][:, k, None, None, None] * NUM_ANGLES
    distance = (torch.hypot(row, col) - radius_table.view(-1)[index] * size) * slope_table.view(-1)[index]
    cover = (0.5 - distance * zoom).clamp(0, 1)
    return cover * (batch["size"][:, k, None, None, None] > 0)


def _figure_coverage(world_row, world_col, zoom, batch):
    cover = torch.zeros_like(world_row)
    for s in range(batch["thickness"].shape[1]):
        start, end = batch["bones"][:, :, s, 0, :, None, None], batch["bones"][:, :, s, 1, :, None, None]
        along_row, along_col = end[:, :, 0] - start[:, :, 0], end[:, :, 1] - start[:, :, 1]
        row, col = world_row - start[:, :, 0], world_col - start[:, :, 1]
        length2 = (along_row**2 + along_col**2).clamp_min(1e-6)
        t = ((row * along_row + col * along_col) / length2).clamp(0, 1)
        distance = torch.hypot(row - t * along_row, col - t * along_col) - batch["thickness"][:, s, None, None, None]
        part = (0.5 - distance * zoom).clamp(0, 1) * (batch["thickness"][:, s, None, None, None] > 0)
        cover = torch.maximum(cover, part)
    return cover


def render_batch(scenes: list[Scene], height: int = 128, width: int = 128, device="cpu") -> torch.Tensor:
    """Frames (B,T,height,width,3) float32 in 0..1 of scenes of equal length, drawn on `device` in one go."""
    return draw({name: value.to(device) for name, value in stack(scenes).items()}, height, width)[0]


def render(scene: Scene, height: int = 128, width: int = 128) -> Clip:
    """One clip with tracks, masks and camera; on the CPU, equal bit for bit on every call."""
    frames, coverages = draw(stack([scene]), height, width)
    masks = [cover[0] for cover in coverages]
    for front in range(len(masks) - 1, 0, -1):
        for behind in range(front):
            masks[behind] = masks[behind] * (1 - masks[front])
    tracks = [project(scene.camera, thing.centre) for thing in scene.objects]
    if scene.figure is not None:
        tracks.append(project(scene.camera, scene.figure.bones.mean((1, 2))))
    tracks_px = torch.stack(tracks) if tracks else torch.zeros(0, scene.num_frames, 2)
    limits = torch.tensor([height - 0.5, width - 0.5])
    visible = ((tracks_px >= -0.5) & (tracks_px < limits)).all(-1)
    masks_px = torch.stack(masks) if masks else torch.zeros(0, scene.num_frames, height, width)
    return Clip(scene, frames[0], tracks_px, visible, masks_px, scene.camera, scene.caption)
