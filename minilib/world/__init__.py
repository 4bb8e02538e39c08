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
from minilib.world.labels import Labels, image_captions, image_places, image_sizes, labels, textured_captions
from minilib.world.long import (
    BUSY,
    LONG_ACTIONS,
    LONG_MOTIONS,
    LONG_TASKS,
    SPARSE,
    LongLabels,
    Rhythm,
    long_labels,
    long_scenes,
)
from minilib.world.questions import Question, question_clips
from minilib.world.render import render
from minilib.world.scenes import Scenes, clip_scenes, image_scenes
from minilib.world.segmentation import segmentation_batch, segmentation_scenes
from minilib.world.vocabulary import COLOURS, GROUNDS, MOTIONS, PLACES, SHAPES, SIZES, TEXTURES, mirror

__all__ = [
    "BUSY",
    "COLOURS",
    "GROUNDS",
    "LONG_ACTIONS",
    "LONG_MOTIONS",
    "LONG_TASKS",
    "MOTIONS",
    "PLACES",
    "SHAPES",
    "SIZES",
    "SPARSE",
    "TASKS",
    "TEXTURES",
    "Labels",
    "LongLabels",
    "Question",
    "Rhythm",
    "Scenes",
    "WorldClips",
    "clip_batch",
    "clip_scenes",
    "epoch_indices",
    "held_batches",
    "image_captions",
    "image_places",
    "image_scenes",
    "image_sizes",
    "labels",
    "long_labels",
    "long_scenes",
    "mirror",
    "question_clips",
    "render",
    "sample_times",
    "segmentation_batch",
    "segmentation_scenes",
    "shuffled",
    "textured_captions",
    "train_batches",
]
