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
    backward,
    first_frame,
    of_one_noise,
    strangers,
    truth,
)
from minilib.papers.object_centric_diffusion.small import RANDOM
from minilib.study import Study

CHUNKED = {
    "independent": Generated(Chunked(), make=at_once),
    "last_frame": Generated(Chunked(held=1)),
    "sparse": Generated(Chunked(seen=sparse_memory)),
    "dense": Generated(Chunked(seen=dense_memory)),
    "maps": Generated(Chunked(maps=0.5)),
    "motion": Generated(Chunked(motion=0.5)),
    "one_noise": Generated(Chunked(), make=of_one_noise),
}
GENERATED = {
    **CHUNKED,
    "static": Static(),
    "control/own": Generated(Chunked(seen=own_memory)),
}
KNOWN = {  # rendered: no weights of the diffusion model have a part in them but those of its autoencoder
    "truth": Reference(truth),
    "backward": Reference(backward),
    "repeated": Reference(first_frame),
    "strangers": Reference(strangers),
    "ladder": Ladder(),
}
LABELS = {
    "videos/independent": "independent chunks",
    "videos/last_frame": "last frame held",
    "videos/sparse": "tokens, sparse",
    "videos/dense": "tokens, dense",
    "videos/maps": "attention maps",
    "videos/motion": "motion features",
    "videos/one_noise": "one noise for all",
    "videos/static": "a static video",
    "known/truth": "the script, rendered",
}
STUDY = Study(
    "long_video",
    GENERATED | KNOWN,
    recipes={"known": Length(weights=RANDOM), "videos": Length()},
    grids={"known": tuple(KNOWN), "videos": tuple(GENERATED)},
    replicates=16,
)
