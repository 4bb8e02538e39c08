"""From scenes to pixels, in batches, on any device.

Each object is a sprite: its square window of pixels is turned into the shape's own coordinates and looked up in a
table of signed distances, so the edge is anti-aliased at any size and angle. Only the window is touched, never the
whole frame. Grounds are periodic tiles, looked up with the camera's offset.

Axes: b scenes, o objects, t times, h and w pixels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage

from minilib.world.scenes import ANGLE, LOG_RADIUS, OPACITY, Scenes

SPAN = 1.25  # a sprite's table covers [-SPAN, SPAN] radii
TABLE = 96  # cells a side
TILE = 256  # pixels a side of a ground

COLOUR_RGB = (
    (216, 40, 40), (242, 133, 24), (238, 222, 60), (48, 160, 66),
    (64, 208, 220), (44, 84, 222), (148, 62, 196), (242, 242, 242),
)  # fmt: skip
GROUND_RGB = (  # the darkest and the lightest of each
    ((58, 84, 52), (86, 106, 62)), ((160, 140, 106), (188, 170, 134)),
    ((52, 72, 98), (84, 108, 130)), ((104, 66, 56), (74, 56, 52)),
)  # fmt: skip


def _outline(corners: int, inner: float = 1.0, turn: float = -np.pi / 2) -> np.ndarray:
    """A regular polygon (or star, with every second corner at radius `inner`) as points (n, 2)."""
    angle = turn + np.arange(corners) * 2 * np.pi / corners
    radius = np.where(np.arange(corners) % 2, inner, 1.0)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)


def _polygons() -> list[np.ndarray]:
    """The outlines of `SHAPES` in units of the radius; a ring is a circle with a hole."""
    s = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    heart = np.stack([16 * np.sin(s) ** 3, -(13 * np.cos(s) - 5 * np.cos(2 * s) - 2 * np.cos(3 * s) - np.cos(4 * s))])
    a = 0.36
    cross = [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)]
    arrow = [(0, -1), (0.85, 0), (0.36, 0), (0.36, 1), (-0.36, 1), (-0.36, 0), (-0.85, 0)]
    circle = _outline(96) * 0.95
    return [
        circle,
        _outline(4, turn=-np.pi / 4) * 1.2,
        _outline(3) * 1.1 + [0, 0.15],
        _outline(10, inner=0.45) * 1.1,
        np.array(cross, float),
        circle,
        heart.T / 16.5 + [0, -0.08],
        np.array(arrow, float),
    ]


@lru_cache
def _tables(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Signed distances (shape, TABLE, TABLE) in radii, shades (texture, ...), grounds (kind, TILE, TILE), their red,
    green and blue packed as bytes."""
    fine = 4 * TABLE
    distance = []
    for index, outline in enumerate(_polygons()):
        image = Image.new("1", (fine, fine))
        draw = ImageDraw.Draw(image)
        draw.polygon([tuple(p) for p in (outline / SPAN + 1) / 2 * fine], fill=1)
        if index == 5:
            hole = [(0.5 - 0.5 * 0.5 / SPAN) * fine, (0.5 + 0.5 * 0.5 / SPAN) * fine]
            draw.ellipse([hole[0], hole[0], hole[1], hole[1]], fill=0)
        inside = np.array(image)
        signed = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
        distance.append(signed[2::4, 2::4] * 2 * SPAN / fine)
    v, u = np.meshgrid(*[np.linspace(-SPAN, SPAN, TABLE)] * 2, indexing="ij")
    dark = [u > 9, np.sin(8 * v) > 0, (np.sin(6 * u) * np.sin(6 * v)) > 0.35, u > 0]
    shade = [np.where(mask, 0.75, 1.0) for mask in dark]

    rng = np.random.default_rng(7)
    y, x = np.meshgrid(*[np.arange(TILE) / TILE * 2 * np.pi] * 2, indexing="ij")
    blur = lambda sigma: ndimage.gaussian_filter(rng.standard_normal((TILE, TILE)), sigma, mode="wrap")  # noqa: E731
    row = (y * 8 / (2 * np.pi)).astype(int)
    mortar = (np.mod(y * 8, 2 * np.pi) < 1.0) | (np.mod(x * 4 + np.pi * (row % 2), 2 * np.pi) < 0.5)
    fields = [blur(5.0), blur((4.0, 14.0)), np.sin(7 * y + 1.6 * np.sin(2 * x) + 2 * blur(16.0)), 1.0 - 2.0 * mortar]
    grounds = []
    for field, (low, high) in zip(fields, GROUND_RGB, strict=True):
        mix = ((field - field.min()) / np.ptp(field))[..., None]
        rgb = (np.array(low) * (1 - mix) + np.array(high) * mix).astype(np.int32)
        grounds.append(rgb[..., 0] | rgb[..., 1] << 8 | rgb[..., 2] << 16)
    to = lambda stack, kind: torch.as_tensor(np.stack(stack), dtype=kind, device=device)  # noqa: E731
    return to(distance, torch.float32), to(shade, torch.float32), to(grounds, torch.int32)


def _grounds(scenes: Scenes, times: np.ndarray, size: int, device: torch.device) -> torch.Tensor:
    """Packed ground pixels, int32 (b, t, h, w): a tile, moved by the scene's offset and the camera's drift."""
    shift = scenes.offset[:, None] - scenes.drift[:, None] * (times - 0.5)[:, None]
    pixel = (np.arange(size) + 0.5) / size
    at = torch.as_tensor((shift[..., None] + pixel) * TILE, device=device).floor().long() % TILE  # (b, t, 2, size)
    kind = torch.as_tensor(scenes.ground, device=device)[:, None, None, None] * TILE * TILE
    index = kind + at[:, :, 1, :, None] * TILE + at[:, :, 0, None, :]
    return _tables(device)[2].take(index)


def render(
    scenes: Scenes, times, size: int = 64, device: torch.device | str = "cpu", ids: bool = False
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Frames uint8 (b, t, h, w, 3) of square `size` at `times` (t,) in [0, 1].

    With `ids` also uint8 (b, t, h, w): 0 for the ground, i + 1 where object i is what one sees.
    """
    device, times = torch.device(device), np.asarray(times, float)
    packed = _grounds(scenes, times, size, device)
    batch, steps = packed.shape[:2]
    canvas = packed.view(torch.uint8).view(-1, 4)  # red, green, blue and, in the spare byte, who is seen

    pose = scenes.pose(times)  # (b, o, t, 5)
    radius = np.exp(pose[..., LOG_RADIUS]) * size
    shown = scenes.present[:, :, None] & (pose[..., OPACITY] > 0)
    window = np.ceil((2 * SPAN * radius + 2) / 12).astype(int) * 12  # few different sizes: one batch of sprites each
    for layer in reversed(range(pose.shape[1])):  # object 0 comes last: it lies on top
        for side in np.unique(window[:, layer][shown[:, layer]]):
            scene, step = np.nonzero(shown[:, layer] & (window[:, layer] == side))
            _draw(canvas, scenes, pose, scene, step, layer, int(side), size)
    canvas = canvas.view(batch, steps, size, size, 4)
    return (canvas[..., :3], canvas[..., 3]) if ids else canvas[..., :3]


def _draw(canvas: torch.Tensor, scenes: Scenes, pose, scene, step, layer: int, window: int, size: int) -> None:
    """Blends object `layer` of the n frames (scene, step) into the flat canvas, in place; n sprites at once."""
    device = canvas.device
    distances, shades, _ = _tables(device)
    to = lambda array, kind: torch.as_tensor(array, dtype=kind, device=device)  # noqa: E731
    p = to(pose[scene, layer, step], torch.float32)
    radius = p[:, LOG_RADIUS].exp() * size
    centre = p[:, :2] * size
    corner = (centre - window / 2).round()
    pixel = corner[:, :, None] + torch.arange(window, device=device)  # (n, 2, window)

    scale = TABLE / (2 * SPAN)
    local = (pixel + 0.5 - centre[:, :, None]) * (scale / radius)[:, None, None]
    cos, sin = p[:, ANGLE].cos()[:, None], p[:, ANGLE].sin()[:, None]
    middle = TABLE / 2
    u = (local[:, 0] * cos)[:, None, :] + (local[:, 1] * sin + middle)[:, :, None]  # (n, window, window)
    v = (local[:, 0] * -sin)[:, None, :] + (local[:, 1] * cos + middle)[:, :, None]
    cell = v.clamp_(0, TABLE - 1).int().mul_(TABLE).add_(u.clamp_(0, TABLE - 1).int())
    shape = to(scenes.shape[scene, layer] * TABLE**2, torch.int32).view(-1, 1, 1)
    texture = to(scenes.texture[scene, layer] * TABLE**2, torch.int32).view(-1, 1, 1)
    alpha = distances.view(-1)[shape + cell].mul_(-radius.view(-1, 1, 1)).add_(0.5).clamp_(0, 1)
    alpha = alpha * p[:, OPACITY].clamp(0, 1).view(-1, 1, 1)

    inside = (pixel >= 0) & (pixel < size)
    pixel = pixel.long()
    frame = to(scene * pose.shape[2] + step, torch.int64).view(-1, 1, 1) * size * size
    place = frame + pixel[:, 1, :, None] * size + pixel[:, 0, None, :]
    touched = (alpha > 0) & inside[:, 1, :, None] & inside[:, 0, None, :]
    n = touched.nonzero()[:, 0]
    place, alpha = place[touched], alpha[touched]
    shade = shades.view(-1)[(texture + cell)[touched]]
    colour = to(COLOUR_RGB, torch.float32)[to(scenes.colour[scene, layer], torch.int64)]
    under = canvas[place].float()
    over = torch.cat([shade[:, None] * colour[n], torch.full_like(shade[:, None], layer + 1)], 1)
    alpha = torch.stack([alpha, alpha, alpha, (alpha >= 0.5).float()], 1)
    canvas[place] = under.lerp_(over, alpha).round_().to(torch.uint8)
