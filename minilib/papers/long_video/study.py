"""Eight chunks by every kind of sharing, their rivals, the ends of the scales, and videos of known quality.

python -m minilib.study long_video --jobs 2      # sixteen videos by each variant
"""

from __future__ import annotations

from minilib.papers.long_video.method import Chunked
from minilib.papers.long_video.sharing import dense_memory, own_memory, sparse_memory
from minilib.papers.long_video.variants import (
    Generated,
    Ladder,
    Length,
    Reference,
    Static,
    at_once,
    first_frame,
    noise_once,
    strangers,
    truth,
)
from minilib.study import Row, Study

CHUNKED = {
    "independent": Generated(Chunked(), make=at_once),
    "last_frame": Generated(Chunked(held=1)),
    "sparse": Generated(Chunked(seen=sparse_memory)),
    "dense": Generated(Chunked(seen=dense_memory)),
    "maps": Generated(Chunked(maps=0.5)),
    "motion": Generated(Chunked(motion=0.5)),
    "one_noise": Generated(Chunked(), make=at_once, draw=noise_once),
}
VARIANTS = {
    **CHUNKED,
    "static": Static(),
    "control/own": Generated(Chunked(seen=own_memory)),
    "truth": Reference(truth),
    "repeated": Reference(first_frame),
    "strangers": Reference(strangers),
    "ladder": Ladder(),
}
LABELS = {
    "independent": "independent chunks",
    "last_frame": "last frame held",
    "sparse": "tokens, sparse",
    "dense": "tokens, dense",
    "maps": "attention maps",
    "motion": "motion features",
    "one_noise": "one noise for all",
    "static": "a static video",
    "truth": "the script, rendered",
}
STUDY = Study(
    "long_video",
    VARIANTS,
    recipes={"videos": Length()},
    grids={"videos": tuple(VARIANTS)},
    tables={metric or "truth": {label: Row(f"{name}/{metric}".rstrip("/")) for name, label in LABELS.items()}
            for metric in ("", "temporal", "clip", "fidelity", "motion", "ground")},
    replicates=16,
)  # fmt: skip
