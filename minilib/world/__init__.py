"""The small world: scenes made by a program, rendered in batches, with every label known."""

from minilib.world.batches import (
    TASKS,
    clip_batch,
    epoch_indices,
    held_batches,
    sample_times,
    shuffled,
    train_batches,
)
from minilib.world.clips import WorldClips
from minilib.world.labels import Labels, image_captions, image_places, labels
from minilib.world.render import render
from minilib.world.scenes import Scenes, clip_scenes, image_scenes
from minilib.world.vocabulary import COLOURS, GROUNDS, MOTIONS, PLACES, SHAPES, SIZES, mirror

__all__ = [
    "COLOURS",
    "GROUNDS",
    "MOTIONS",
    "PLACES",
    "SHAPES",
    "SIZES",
    "TASKS",
    "Labels",
    "Scenes",
    "WorldClips",
    "clip_batch",
    "clip_scenes",
    "epoch_indices",
    "held_batches",
    "image_captions",
    "image_places",
    "image_scenes",
    "labels",
    "mirror",
    "render",
    "sample_times",
    "shuffled",
    "train_batches",
]
