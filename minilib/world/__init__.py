"""The small world: scenes made by a program, rendered in batches, with every label known."""

from minilib.world.batches import (
    clip_batch,
    epoch_indices,
    sample_times,
    shuffled,
    train_batches,
)
from minilib.world.clips import WorldClips
from minilib.world.edits import Edits, edit_batch, edit_scenes
from minilib.world.hard import FEW, hard_scenes
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
from minilib.world.long_clips import LongClips
from minilib.world.questions import Question, question_clips
from minilib.world.render import render
from minilib.world.scenes import Scenes, clip_scenes, image_scenes
from minilib.world.segmentation import patch_oracle, segmentation_batch, segmentation_scenes
from minilib.world.tasks import TASKS, chance, task_scenes
from minilib.world.timing import timing_scenes
from minilib.world.vocabulary import (
    COLOURS,
    GROUNDS,
    MOTIONS,
    PLACES,
    SHAPES,
    SIZES,
    TEXTURES,
    TIMINGS,
    mirror,
)

__all__ = [
    "BUSY",
    "COLOURS",
    "FEW",
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
    "TIMINGS",
    "Edits",
    "Labels",
    "LongClips",
    "LongLabels",
    "Question",
    "Rhythm",
    "Scenes",
    "WorldClips",
    "chance",
    "clip_batch",
    "clip_scenes",
    "edit_batch",
    "edit_scenes",
    "epoch_indices",
    "hard_scenes",
    "image_captions",
    "image_places",
    "image_scenes",
    "image_sizes",
    "labels",
    "long_labels",
    "long_scenes",
    "mirror",
    "patch_oracle",
    "question_clips",
    "render",
    "sample_times",
    "segmentation_batch",
    "segmentation_scenes",
    "shuffled",
    "task_scenes",
    "textured_captions",
    "timing_scenes",
    "train_batches",
]
