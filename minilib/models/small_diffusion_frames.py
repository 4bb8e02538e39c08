"""Single frames of the clips that are edited, with the words that describe them: what the small diffusion model learns.

A pool of frames is rendered once, on the device that trains, and every batch is drawn from it: rendering frame by frame
would keep a GPU waiting.

Axes: b frames, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.world.draws import SPLITS
from minilib.world.edits import RADII, edit_scenes
from minilib.world.render import render
from minilib.world.scenes import X, Y
from minilib.world.vocabulary import COLOURS, GROUNDS, PLACES, SHAPES, TEXTURES

ATTRIBUTES = {"colour": COLOURS, "texture": TEXTURES, "shape": SHAPES, "place": PLACES, "ground": GROUNDS}
TIMES = 4  # frames a scene, at random times
CHUNK = 384  # scenes rendered at once
EDGE = 0.05  # of the full range, in the slope of a pixel: a step of a tenth is an edge


@dataclass(frozen=True)
class Frames:
    """pixels uint8 (b, h, w, 3); mask bool (b, h, w), the object; said int64 (b, 5), indices into ATTRIBUTES."""

    pixels: Tensor
    mask: Tensor
    said: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index) -> Frames:
        return Frames(self.pixels[index], self.mask[index], self.said[index])


def single_frames(split: str, count: int, device: torch.device | str = "cpu", seed: int = 0) -> Frames:
    """`count` frames of edited clips before their edit, of objects of all sizes at random times: a function of
    (split, seed), and for a larger count the same frames and more."""
    sizes, parts = tuple(RADII), []
    for chunk in range(-(-count // (CHUNK * TIMES))):
        rng = np.random.default_rng((seed, SPLITS.index(split), chunk))
        times = np.sort(rng.uniform(0, 1, (len(sizes), TIMES)))
        for number, size in enumerate(sizes):
            indices = np.arange(chunk * CHUNK + number, (chunk + 1) * CHUNK, len(sizes))
            parts.append(_frames(edit_scenes("colour", size, seed, split, indices)[0], times[number], device))
    pixels, mask, said = (torch.cat([getattr(part, name) for part in parts]) for name in ("pixels", "mask", "said"))
    order = torch.from_numpy(np.random.default_rng((seed, len(pixels))).permutation(len(pixels))[:count]).to(device)
    return Frames(pixels[order], mask[order], said[order])


def _frames(scenes, times: np.ndarray, device: torch.device | str) -> Frames:
    pixels, ids = render(scenes, times, device=device, ids=True)
    column, row = (np.clip(np.floor(scenes.pose(times)[:, 0, :, axis] * 3), 0, 2) for axis in (X, Y))
    same = (scenes.colour[:, 0], scenes.texture[:, 0], scenes.shape[:, 0])
    every = [np.repeat(kind[:, None], len(times), 1) for kind in (*same, scenes.ground)]
    said = torch.from_numpy(np.stack([*every[:3], row * 3 + column, every[3]], -1).astype(np.int64))
    return Frames(pixels.flatten(0, 1), ids.flatten(0, 1) == 1, said.flatten(0, 1).to(device))


def sentence(said, texture: bool, place: bool) -> str:
    """ "a red star on sand", with its texture "a red striped star on sand", with its place "a red star top left on
    sand": the prompts of edits, which name no place, among them."""
    colour, grain, shape, where, ground = (words[int(i)] for words, i in zip(ATTRIBUTES.values(), said, strict=True))
    words = ["a", colour, *([grain] if texture else []), shape, *([where] if place else []), "on", ground]
    return " ".join(words)


def all_sentences() -> list[str]:
    """Every sentence of the three forms and of both together, then the empty one, in the order of `sentence_rows`."""
    texts = []
    for colour in COLOURS:
        for grain in ("", *TEXTURES):
            for shape in SHAPES:
                for where in ("", *PLACES):
                    texts += [" ".join(f"a {colour} {grain} {shape} {where} on {g}".split()) for g in GROUNDS]
    return [*texts, ""]


def sentence_rows(said: Tensor, texture: Tensor, place: Tensor) -> Tensor:
    """Rows of `all_sentences` that describe frames said (b, 5) with or without texture and place, bool (b,)."""
    colour, grain, shape, where, ground = said.unbind(-1)
    row = colour * (len(TEXTURES) + 1) + torch.where(texture, grain + 1, 0)
    row = (row * len(SHAPES) + shape) * (len(PLACES) + 1) + torch.where(place, where + 1, 0)
    return row * len(GROUNDS) + ground


def control_maps(pixels: Tensor, mask: Tensor) -> Tensor:
    """What the ControlNet reads, float (b, 2, h, w): the order of depth (1 for the object in front, 0 for the ground),
    and edges of the frame (1 where a colour changes by a tenth of its range or more from pixel to pixel)."""
    colours = F.pad(pixels.movedim(-1, 1).float() / 255, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    slope = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=pixels.device) / 8
    steep = F.conv2d(colours, torch.stack([slope, slope.T])[:, None]).square().sum(1).sqrt()
    edges = steep.unflatten(0, (len(pixels), 3)).amax(1) > EDGE
    return torch.stack([mask, edges], 1).float()
