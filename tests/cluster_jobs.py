"""A job for `test_cluster.py`, which the processes of a cluster import."""

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Counting:
    """A job of ten marks on the disk, of which it makes those that are missing."""

    folder: str
    pause: float = 0.0
    bad: bool = False


def count(job: Counting) -> int:
    if job.bad:
        raise RuntimeError("no such thing\nas a bad job")
    made = 0
    for k in range(10):
        mark = Path(job.folder) / str(k)
        if not mark.exists():
            mark.touch()
            made += 1
            time.sleep(job.pause)
    return made
