"""The attributes that VicTR reads beside class names: the thesis' printed lists, and the small world's."""

from __future__ import annotations

from pathlib import Path

import yaml

from minilib.errors import BadInput
from minilib.papers.victr.recogniser import Attributes
from minilib.world.scenes import MAX_OBJECTS
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES

PUBLISHED = Path(__file__).parent / "vocabularies.yaml"
COUNTS = ("one object", "two objects", "three objects", "four objects")[:MAX_OBJECTS]


def attributes(dataset: str) -> Attributes:
    """The thesis' lists for "charades" and "kinetics400" (Sec. 5.6.1)."""
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    if dataset not in published:
        raise BadInput(f"attributes of {dataset!r}: the thesis has {', '.join(published)}")
    return Attributes({group: tuple(names) for group, names in published[dataset].items()})


def world_attributes() -> Attributes:
    """The small world's: what shapes, colours and grounds there are, and how many objects can be seen."""
    return Attributes({"shapes": SHAPES, "colours": COLOURS, "grounds": GROUNDS, "objects": COUNTS})
