"""Lists of clips as columns: a quarter of a million of them are read in about the time of the bare parser, take the
memory of their names, and cost a worker process nothing, for tensors travel as handles to shared memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

UNLABELLED = -1


@dataclass(frozen=True)
class Clip:
    """One video file and its class; `text` is a sentence about it where the annotations have one."""

    path: Path
    label: int
    text: str = ""


class Packed:
    """Strings in one tensor of bytes."""

    def __init__(self, texts: Iterable[str]):
        parts = [text.encode("utf-8", "surrogateescape") for text in texts]
        self.ends = torch.from_numpy(np.cumsum([0, *map(len, parts)]))
        self.bytes = (
            torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8) if self.ends[-1] else torch.empty(0)
        )

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, i: int) -> str:
        start, end = self.ends[i].item(), self.ends[i + 1].item()
        return self.bytes[start:end].numpy().tobytes().decode("utf-8", "surrogateescape")


class ClipList(Sequence):
    """Clips below one folder by their names there, labels and texts. Item i is a `Clip`, a slice a tuple of them."""

    def __init__(self, root: Path | str, names: Sequence[str], labels: Sequence[int], texts: Sequence[str] = ()):
        self.root = str(root)
        self.names, self.labels = Packed(names), torch.tensor(labels, dtype=torch.int32)
        self.texts = Packed(texts) if texts else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int | slice) -> Clip | tuple[Clip, ...]:
        if isinstance(i, slice):
            return tuple(self[k] for k in range(*i.indices(len(self))))
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i %= len(self)
        return Clip(Path(self.root, self.names[i]), self.labels[i].item(), "" if self.texts is None else self.texts[i])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Clip.__eq__, self, other))

    def __hash__(self) -> int:
        return hash((self.root, len(self)))

    def paths(self) -> list[str]:
        """All paths as texts."""
        return [os.path.join(self.root, self.names[i]) for i in range(len(self))]

    def chosen(self, places: Sequence[int] | Tensor) -> ClipList:
        """Only the clips at `places`, in that order."""
        places = [int(place) for place in places]
        names, labels = [self.names[i] for i in places], self.labels[places].tolist()
        return ClipList(self.root, names, labels, [] if self.texts is None else [self.texts[i] for i in places])
