"""One frame for all experiments: what is trained on what, by which recipe, and the row that comes of it.

STUDY = Study("zeroi2v", variants, recipes={"core": CORE, "grid": GRID, "tuned": Tuned(LONG)}, grids=...)
STUDY.measure("grid/zeroi2v", seed, rows)      # the row that is there, or the run that makes it

python -m minilib.study zeroi2v --plan         # what is missing, most wanted first, and what it costs
"""

from minilib.study.feeds import Clips, Feed, RandomLabels, ShuffledFrames, Task, WorldTask, damaged, top1
from minilib.study.recipes import Tuned
from minilib.study.study import Outcome, Row, Study, Trial, Variant, load_study

__all__ = [
    "Clips",
    "Feed",
    "Outcome",
    "RandomLabels",
    "Row",
    "ShuffledFrames",
    "Study",
    "Task",
    "Trial",
    "Tuned",
    "Variant",
    "WorldTask",
    "damaged",
    "load_study",
    "top1",
]
