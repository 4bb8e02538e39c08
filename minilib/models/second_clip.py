"""The small world's second CLIP: wider and deeper, taught by captions alone, with words for textures.

The first one (`minilib.models.small_clip`) was also taught to name the shape under each patch, so its patches say
little about what captions teach. This one sees pictures and sentences only. A model this small learns shapes from
them with large objects first, look-alikes that differ in one word, and a stem of overlapping convolutions.

    python -m minilib.models.second_clip --cycles 1 2 3 4 5 6 7    # trains from scratch; goes on where it was stopped
    python -m minilib.models.second_clip --cycles 8        # one more cycle, from the shipped weights

On the processor, MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 spare a fifth of the time.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from minilib.files import write_whole
from minilib.models.clip import SMALL, Architecture, ImageText, build
from minilib.models.half import load_half, save_half
from minilib.models.small_clip import (
    WORDS,
    adamw,
    add_waves,
    captions_found,
    pair_loss,
    word_ids,
    zero_shot,
)
from minilib.world import (
    COLOURS,
    GROUNDS,
    PLACES,
    SHAPES,
    SIZES,
    TEXTURES,
    Scenes,
    image_scenes,
    render,
    textured_captions,
)
from minilib.world.scenes import LOG_RADIUS, Draws, choose

WEIGHTS = Path(__file__).parents[1] / "weights" / "second_clip.safetensors"
SECOND = Architecture(
    embed_dim=96,
    vision=dict(image_size=64, patch_size=8, layers=6, width=192, head_width=16),
    text=SMALL.text,
)
TEXTURE_WORDS = (*WORDS, *TEXTURES)  # append only, as WORDS: what both models know has the same id in both
ALIKE = 4  # look-alikes a group
SAVE_EVERY = 50  # steps between two checkpoints


def tokenize_textures(texts: Sequence[str]) -> Tensor:
    """One id a word, as `minilib.models.small_clip.tokenize`, and the words for textures: int64 (k, 24)."""
    return word_ids(texts, TEXTURE_WORDS)


def stem(width: int) -> nn.Sequential:
    """Three overlapping convolutions in place of the patch projection: (b, 3, h, w) to (b, width, h/8, w/8)."""
    return nn.Sequential(
        nn.Conv2d(3, width // 4, 7, stride=2, padding=3),
        nn.GELU(),
        nn.Conv2d(width // 4, width // 2, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
    )


def untrained() -> ImageText:
    """A random model of this architecture: open_clip's, but for the stem in the place of `conv1`."""
    clip = build(SECOND, tokenize_textures)
    clip.visual.conv1 = stem(SECOND.vision["width"])
    return clip


def second_clip(path: Path | str = WEIGHTS) -> ImageText:
    """The shipped model, in evaluation mode, frozen."""
    clip = untrained()
    load_half(clip.model, path)
    return clip.eval().requires_grad_(False)


@dataclass(frozen=True)
class Pictures:
    """Pictures to learn from, in groups of ALIKE neighbours that share all but one thing about object 0.

    What differs goes round with the groups: the shape, the texture, or in odd groups the place. `radius` is that of
    every object, in frame widths (the usual small and large ones by default); `objects` fixes how many there are.
    """

    differ: tuple[str, ...] = ("shape", "place", "shape", "texture")
    radius: tuple[float, float] | None = None
    objects: int | None = None

    def scenes(self, seed: int, indices: np.ndarray) -> Scenes:
        """Scenes of the training split that depend on (seed, index) alone."""
        group = indices // ALIKE
        differs = np.asarray(self.differ)[group % len(self.differ)]
        by_shape, by_place = (
            image_scenes(seed, "train", indices, objects=self.objects, alike=ALIKE, also_places=places)
            for places in (False, True)
        )
        scenes = choose(differs == "place", by_place, by_shape)
        by_texture = differs == "texture"
        first = np.searchsorted(group, group)  # the first of each group, whose shape the others take
        scenes.shape[by_texture, 0] = scenes.shape[first, 0][by_texture]
        scenes.texture[by_texture, 0] = ((scenes.texture[:, 0] + indices) % len(TEXTURES))[by_texture]
        if self.radius is not None:
            draws = Draws(seed + 2_000_003, "train", group, scenes.shape.shape[1])
            scenes.base[..., LOG_RADIUS] = np.log(draws.uniform(*self.radius, scenes.shape.shape[1]))
        return scenes


LARGE = Pictures(differ=("shape",), radius=(0.22, 0.30), objects=1)
FINE = Pictures(differ=("shape", "place", *("shape", "texture") * 3))  # places are learned long before the rest
FINEST = Pictures(differ=("shape", "place", "shape", "texture", *("shape",) * 3, "texture"))  # and shapes last


@dataclass(frozen=True)
class Cycle:
    """A training that takes up nothing but weights: a new optimiser, warm-up, cosine, and pictures of its own."""

    stages: tuple[tuple[int, Pictures], ...]  # steps of each kind of pictures
    lr: float
    batch: int = 192
    warmup: int = 100
    weight_decay: float = 0.05
    clip_norm: float = 1.0

    @property
    def steps(self) -> int:
        return sum(steps for steps, _ in self.stages)

    def pictures(self, step: int) -> Pictures:
        ends = np.cumsum([steps for steps, _ in self.stages])
        return self.stages[int(np.searchsorted(ends, step, side="right"))][1]


CYCLES = (
    Cycle(((400, LARGE), (50, Pictures(differ=("shape",))), (450, Pictures())), lr=1e-3),
    Cycle(((360, FINE),), lr=6e-4, warmup=50),
    Cycle(((220, FINEST),), lr=5e-4, warmup=30),  # and each later one
)


def train_cycle(
    clip: ImageText, cycle: Cycle, seed: int, checkpoint: Path | None = None
) -> Iterator[tuple[int, float, ImageText]]:
    """Trains `clip` in place and yields (step, loss, model) after each step; captions are all it is taught by.

    With `checkpoint`, the state is written there every SAVE_EVERY steps, and a training that was stopped goes on from
    it. The plain attention is used: on a processor, the fused one takes four times as long with heads of 16 channels.
    """
    device = clip.mean.device
    trained = list(clip.parameters())
    optimizer, schedule = adamw(trained, cycle.lr, cycle.weight_decay, cycle.warmup, cycle.steps)
    parts, begin = {"model": clip.model, "optimizer": optimizer, "schedule": schedule}, 0
    if checkpoint is not None and checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        begin = state.pop("step")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    clip.train()
    for step in range(begin, cycle.steps):
        scenes = cycle.pictures(step).scenes(seed, np.arange(cycle.batch) + step * cycle.batch)
        pixels = clip.normalise(render(scenes, [0.5], device=device)[:, 0]).contiguous(
            memory_format=torch.channels_last
        )
        words = clip.tokenize(textured_captions(scenes)).to(device)
        with torch.autocast(device.type, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            images, texts = clip.model.encode_image(pixels), clip.model.encode_text(words)
        images, texts = F.normalize(images.float(), dim=-1), F.normalize(texts.float(), dim=-1)
        loss = pair_loss(clip.logit_scale.clamp(max=100) * images @ texts.T)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, cycle.clip_norm)
        optimizer.step()
        schedule.step()
        if checkpoint is not None and (step + 1) % SAVE_EVERY == 0:
            file = io.BytesIO()
            torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step + 1}, file)
            write_whole(checkpoint, file.getvalue())
        yield step, loss.item(), clip


@torch.no_grad()
def evaluate_second_clip(clip: ImageText, split: str = "test", count: int = 1024) -> dict[str, float]:
    """As `minilib.models.small_clip.evaluate_small_clip`, among sentences that also say the texture; grounds, too."""
    words = {"size": SIZES, "colour": COLOURS, "texture": TEXTURES, "shape": SHAPES, "place": PLACES, "ground": GROUNDS}
    scores = zero_shot(clip.eval(), split, count, words, ("shape", "colour", "texture", "place", "ground"))
    return scores | {"caption of 64": captions_found(clip, split, count, textured_captions)}


def run_cycle(number: int, folder: Path, start: Path) -> Path:
    """Cycle `number` (from 1; it begins at random, each other one at `start`), with progress lines on the way.

    Its weights are written to `folder` and their path is returned.
    """
    torch.manual_seed(0)
    clip, cycle = untrained(), CYCLES[min(number, len(CYCLES)) - 1]
    if number == 1:
        add_waves(clip)
    else:
        load_half(clip.model, start)
    began = time.time()
    for step, loss, _ in train_cycle(clip, cycle, number - 1, folder / f"cycle{number}.pt"):
        if step % 20 == 19:
            print(f"cycle {number} step {step + 1} loss {loss:.3f} {time.time() - began:.0f} s", flush=True)
        if step % 100 == 99:
            print({k: round(v, 1) for k, v in evaluate_second_clip(clip, "val", 256).items()}, flush=True)
            clip.train()
    out = folder / f"cycle{number}.safetensors"
    save_half(clip.model, out)
    print(out, evaluate_second_clip(second_clip(out), "val"), flush=True)
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="train the small world's second CLIP, cycle by cycle")
    parser.add_argument("--cycles", type=int, nargs="+", default=[1, 2, 3], metavar="N", help="which, from 1 on")
    parser.add_argument("--start", type=Path, default=WEIGHTS, help="weights to begin at, unless at cycle 1")
    parser.add_argument("--folder", type=Path, default=Path("runs") / "second_clip", help="for checkpoints and weights")
    args = parser.parse_args(arguments)
    if min(args.cycles) < 1:
        parser.error("--cycles: they count from 1")
    weights = args.start
    for number in args.cycles:
        weights = run_cycle(number, args.folder, weights)


if __name__ == "__main__":
    main()
