"""The small world's CLIP: its words, its recipe, its weights. Notebook 01 explains and retrains it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.pos_embed import get_2d_sincos_pos_embed
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.clip import SMALL, ImageText, build
from minilib.models.half import load_half, save_half
from minilib.world import (
    COLOURS,
    GROUNDS,
    MOTIONS,
    PLACES,
    SHAPES,
    SIZES,
    Scenes,
    image_captions,
    image_places,
    image_scenes,
    image_sizes,
    render,
)

WEIGHTS = Path(__file__).parents[1] / "weights" / "small_clip.safetensors"
CONTEXT, VOCABULARY = 24, 128
PAD, START, END = 0, 1, VOCABULARY - 1  # the text tower pools at the largest id, so END is the largest
_COUNTS = "one two three four object objects"
_PHRASES = ("a photo of an and on the in", *SIZES, *COLOURS, *SHAPES, *PLACES, *GROUNDS, *MOTIONS, _COUNTS)
WORDS = tuple(dict.fromkeys(" ".join(_PHRASES).split()))  # append only: an id is a row of the trained embedding


def tokenize(texts: Sequence[str]) -> Tensor:
    """One id a word: int64 (k, CONTEXT). An unknown word or a longer sentence is `BadInput`."""
    return word_ids(texts, WORDS)


def word_ids(texts: Sequence[str], words_known: Sequence[str]) -> Tensor:
    """`tokenize` for a model with these words, in the order of its embedding's rows."""
    rows = torch.full((len(texts), CONTEXT), PAD)
    for row, text in zip(rows, texts, strict=True):
        words = text.lower().split()
        unknown = [word for word in words if word not in words_known]
        if unknown:
            raise BadInput(f"text {text!r}: the small world has no word {unknown[0]!r}")
        if len(words) + 2 > CONTEXT:
            raise BadInput(f"text {text[:40]!r}...: {len(words)} words, at most {CONTEXT - 2} fit")
        ids = [START, *(words_known.index(word) + 2 for word in words), END]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def small_clip(path: Path | str = WEIGHTS) -> ImageText:
    """The shipped model, in evaluation mode, frozen. It draws nothing: the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):  # the start of the weights, which the file then replaces
        clip = build(SMALL, tokenize)
    load_half(clip.model, path)
    return clip.eval().requires_grad_(False)


@dataclass(frozen=True)
class Recipe:
    """How the shipped weights were made."""

    cycles: tuple[int, ...] = (1300, 700, 400, 600)  # steps; each has a new optimiser, warm-up and naming layer
    places_from: int = 2  # the cycle from which on look-alikes also differ by place; before, only by shape
    waves_at: int = 3  # the cycle before which sine waves are added to the position embedding, see `add_waves`
    batch: int = 256
    alike: int = 4  # look-alikes in a batch: without them colour and place suffice, and shape is not learned
    naming: float = 1.0  # weight of the auxiliary loss: name the shape that covers each patch
    lr: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    seed: int = 0


def train_small_clip(recipe: Recipe, device: str = "cpu") -> Iterator[tuple[int, float, ImageText]]:
    """Trains from scratch, cycle by cycle, yielding (step, loss, model) after each step."""
    torch.manual_seed(recipe.seed)
    clip, done = build(SMALL, tokenize).to(device), 0
    for number, steps in enumerate(recipe.cycles):
        if number == recipe.waves_at:
            add_waves(clip)
        yield from train_cycle(clip, recipe, done, steps, number >= recipe.places_from)
        done += steps


@torch.no_grad()
def add_waves(clip: ImageText, height: float = 0.5) -> None:
    """Adds two-dimensional sine waves to the position embedding. At its usual start it is ten times weaker than the
    patches' content, and the model then learns what is there long before it learns where."""
    position = clip.visual.positional_embedding
    waves = get_2d_sincos_pos_embed(position.shape[1], clip.visual.grid_size[0], cls_token=True)
    position += height * torch.from_numpy(waves).to(position)


def train_cycle(
    clip: ImageText, recipe: Recipe, done: int, steps: int, also_places: bool
) -> Iterator[tuple[int, float, ImageText]]:
    """One cycle of `steps` after `done`, on scenes that never repeat; trains `clip` in place.

    Symmetric cross-entropy over in-batch pairs, as CLIP; the temperature is learned and capped at 100. On objects of
    the usual sizes a model this small learns colours and places in minutes, and shapes hardly at all: so a linear
    layer, thrown away at the end, also has to name the shape that covers the middle of each patch. Captions alone teach
    shapes as well where they begin with large objects; that is how the second CLIP (`second_clip`) was made.
    """
    device = clip.mean.device
    clip.train()
    naming = torch.nn.Linear(SMALL.vision["width"], 1 + len(SHAPES)).to(device)
    rarity = torch.tensor([0.1] + [1.0] * len(SHAPES), device=device)  # most patches are ground
    trained = [*clip.parameters(), *naming.parameters()]
    optimizer, schedule = adamw(trained, recipe.lr, recipe.weight_decay, recipe.warmup, steps)
    for step in range(done, done + steps):
        indices = np.arange(recipe.batch) + step * recipe.batch
        scenes = image_scenes(recipe.seed, "train", indices, alike=recipe.alike, also_places=also_places)
        frames, ids = render(scenes, [0.5], device=device, ids=True)
        tokens = clip.visual.transformer(clip.visual._embeds(clip.normalise(frames[:, 0])))
        images = F.normalize(clip.visual.ln_post(tokens[:, 0]) @ clip.visual.proj, dim=-1)
        logits = clip.logit_scale.clamp(max=100) * images @ clip.text_features(image_captions(scenes)).T
        loss = pair_loss(logits)
        names = patch_shapes(scenes, ids[:, 0])
        named = F.cross_entropy(naming(tokens[:, 1:]).flatten(0, 1), names.flatten(), rarity)
        loss = loss + recipe.naming * named
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        yield step, loss.item(), clip


def adamw(
    trained: Sequence[Tensor], lr: float, weight_decay: float, warmup: int, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """The optimiser of both CLIPs (no decay on vectors) and its rate over `steps`: a linear warm-up, then a cosine."""
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    cosine = lambda k: float(min((k + 1) / warmup, 0.5 * (1 + np.cos(np.pi * min(k / steps, 1.0)))))  # noqa: E731
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, cosine)


def pair_loss(logits: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy; picture i belongs to sentence i of logits (b, b)."""
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def patch_shapes(scenes: Scenes, ids: Tensor) -> Tensor:
    """What covers the middle of each patch: int64 (b, n), 0 for ground, 1 + shape. ids: identities (b, h, w)."""
    patch = SMALL.vision["patch_size"]
    middle = ids[:, patch // 2 :: patch, patch // 2 :: patch].flatten(1).long()
    named = torch.cat([torch.zeros(len(middle), 1), torch.as_tensor(scenes.shape + 1)], 1).long()
    return named.to(ids.device).gather(1, middle)


@torch.no_grad()
def evaluate_small_clip(clip: ImageText, split: str = "test", count: int = 1024) -> dict[str, float]:
    """Zero-shot accuracies on one-object images and caption retrieval among 64 on two-object ones, in percent.

    Zero-shot: of all sentences about one object the best match is taken, and its shape and colour are read off;
    `unseen pairs` are pairs of shape and colour that training never showed.
    """
    words = {"size": SIZES, "colour": COLOURS, "shape": SHAPES, "place": PLACES, "ground": GROUNDS}
    scores = zero_shot(clip.eval(), split, count, words, ("shape", "colour", "place"))
    return scores | {"caption of 64": captions_found(clip, split, count, image_captions)}


@torch.no_grad()
def zero_shot(
    clip: ImageText, split: str, count: int, words: dict[str, Sequence[str]], names: Sequence[str]
) -> dict[str, float]:
    """Percent of `count` one-object images whose best sentence has the right word, for each of `names`.

    The sentences are all of "a {size} {colour} ... {place} on {ground}", with the kinds of `words` in their order.
    """
    device = clip.mean.device
    texts = [f"a {' '.join(parts)} on {ground}" for *parts, ground in itertools.product(*words.values())]
    sentences = torch.cat([clip.text_features(texts[at : at + 2048]) for at in range(0, len(texts), 2048)])
    scores = {}
    for combinations, suffix in (("seen", ""), ("held_out", ", unseen pairs")):
        scenes = image_scenes(0, split, np.arange(count), objects=1, combinations=combinations)
        truth = {"size": image_sizes(scenes), "place": image_places(scenes), "ground": scenes.ground[:, None]}
        truth |= {"colour": scenes.colour, "texture": scenes.texture, "shape": scenes.shape}
        images = clip.image_features(render(scenes, [0.5], device=device))[:, 0]
        best = (images @ sentences.T).argmax(1).cpu().numpy()
        found = dict(zip(words, np.unravel_index(best, [len(kind) for kind in words.values()]), strict=True))
        scores |= {name + suffix: 100 * float((found[name] == truth[name][:, 0]).mean()) for name in names}
    return scores


@torch.no_grad()
def captions_found(clip: ImageText, split: str, count: int, captions: Callable[[Scenes], list[str]]) -> float:
    """Percent of `count` two-object images whose own caption is the best of 64."""
    scenes = image_scenes(0, split, np.arange(count) + count, objects=2)
    images = clip.image_features(render(scenes, [0.5], device=clip.mean.device))[:, 0]
    images = images.view(-1, 64, clip.model.visual.output_dim)
    texts = clip.text_features(captions(scenes)).view_as(images)
    best = (images @ texts.transpose(1, 2)).argmax(-1)
    return 100 * float((best == torch.arange(64, device=best.device)).float().mean())


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description="train the small world's CLIP and write its weights")
    parser.add_argument("--cycles", type=int, nargs="+", default=list(Recipe.cycles), metavar="STEPS")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    began = time.time()
    for step, loss, clip in train_small_clip(Recipe(cycles=tuple(args.cycles)), args.device):
        if step % 100 == 99:
            print(f"step {step + 1} loss {loss:.3f} {time.time() - began:.0f} s", flush=True)
        if step % 200 == 199:
            scores = evaluate_small_clip(clip, "val", 512)
            print({name: round(score, 1) for name, score in scores.items()}, flush=True)
            clip.train()
    save_half(clip.model, args.out)
    print(evaluate_small_clip(clip))
