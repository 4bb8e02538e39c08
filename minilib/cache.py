"""The frozen image model's tokens on disk: what never changes runs once, and an ablation costs only its head.

A cache is found by a key of everything that made it: the image model's tensors and settings, the layers, the clips,
the code and the libraries. So features of other weights, views or code are never read; they are made anew beside.

Axes: n clips of the source, b clips of a batch, l layers, t frames, p patches, d width, h and w pixels.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import open_clip
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import minilib.models.clip
from minilib.errors import BadInput
from minilib.files import writable_folder
from minilib.models.clip import FrameFeatures, ImageText
from minilib.progress import progress
from minilib.world import epoch_indices

LARGEST = 2**31  # bytes of a cache: it is filled in memory before it is written
CODE = (Path(minilib.models.clip.__file__), Path(__file__))


class ClipSource(Protocol):
    """Clips that can be asked for again: `minilib.world.WorldClips`, or a reader of a real dataset."""

    def __len__(self) -> int: ...

    def key(self) -> str:
        """All that makes the frames but the code, in words."""

    def frames(self, indices) -> Tensor:
        """uint8 (b, t, h, w, 3)."""

    def labels(self, indices) -> Tensor:
        """int64 (b,)."""


@dataclass(frozen=True)
class CachedFeatures:
    """float16, mapped from a file: cls (n, l, t, d), patches (n, l, t, p, d). Clip by clip, so batches are cheap."""

    cls: Tensor
    patches: Tensor

    def __len__(self) -> int:
        return len(self.cls)

    def batch(self, indices) -> FrameFeatures:
        """float32, in the order of `indices`, with the axes of `ImageText.frame_features`: (l, b, t, ...)."""
        at = torch.as_tensor(indices)
        full = dict(dtype=torch.float32, memory_format=torch.contiguous_format)
        return FrameFeatures(*(x[at].movedim(1, 0).to(**full) for x in (self.cls, self.patches)))


# --- the key ---------------------------------------------------------------------------------------------------------


def _settings(module: torch.nn.Module) -> str:
    """What a module computes with besides tensors: its kind and its plain attributes, such as a number of heads."""
    plain = {k: v for k, v in vars(module).items() if isinstance(v, bool | int | float | str | tuple)}
    return f"{type(module).__qualname__} {sorted((k, v) for k, v in plain.items() if k != 'training')}"


def tower_hash(clip: ImageText) -> str:
    """SHA-256 of the visual tower: every tensor's name, type, shape and bytes, every module's kind and settings."""
    digest = hashlib.sha256()
    for name, module in clip.visual.named_modules():
        digest.update(f"{name} {_settings(module)}\n".encode())
    tensors = {**dict(clip.visual.named_parameters()), **dict(clip.visual.named_buffers())}
    for name, x in sorted({**tensors, "mean": clip.mean, "std": clip.std}.items()):
        digest.update(f"{name} {x.dtype} {tuple(x.shape)}\n".encode())
        digest.update(x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def code_hash(source: ClipSource) -> str:
    """SHA-256 of the code that makes features: this file, `clip.py`, and the package (or file) of the source."""
    try:
        own = Path(inspect.getfile(type(source)))
    except (TypeError, OSError) as error:
        raise BadInput(f"{type(source).__name__}: define it in a file, so that a cache can know its code") from error
    beside = sorted(own.parent.glob("*.py")) if (own.parent / "__init__.py").exists() else [own]
    digest = hashlib.sha256()
    for path in (*CODE, *beside):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def description(clip: ImageText, source: ClipSource, layers: Sequence[int]) -> str:
    """Everything that makes the features, in words and hashes; `cached` names the file by this text's SHA-256."""
    lines = (
        f"clips: {type(source).__qualname__}, {source.key()}",
        f"layers: {clip.blocks(layers)}",
        f"image model: {tower_hash(clip)}",
        f"code: {code_hash(source)}",
        f"libraries: torch {torch.__version__}, open_clip {open_clip.__version__}",
    )
    return "\n".join(lines)


# --- the cache -------------------------------------------------------------------------------------------------------


def cached(
    clip: ImageText,
    source: ClipSource,
    layers: Sequence[int],
    folder: Path | str,
    batch: int = 64,
    device: torch.device | str = "cpu",
) -> CachedFeatures:
    """Features of all clips after the given blocks, from the file in `folder` or made now, on `device`.

    Raises BadInput, before the model runs over the clips, for layers that do not exist, for more than `LARGEST` bytes
    and for a folder that cannot be written; for a file of that name that is damaged or was made of something else; and
    for features that half precision cannot hold. The file is written at the end, whole or not at all.
    """
    made_of = description(clip, source, layers)
    key = hashlib.sha256(made_of.encode()).hexdigest()
    path = Path(folder).expanduser() / f"features-{key[:16]}.safetensors"
    if not path.exists():
        writable_folder(folder, "folder of feature caches")
        _write(path, _computed(clip, source, layers, batch, device), {"key": key, "made_of": made_of})
    return _read(path, key)


@torch.inference_mode()
def _computed(clip: ImageText, source: ClipSource, layers: Sequence[int], batch: int, device) -> dict[str, Tensor]:
    was_training, was_at = clip.training, clip.mean.device
    clip.eval().to(device)
    try:
        one = vars(clip.frame_features(source.frames([0]).to(device), layers))
        shapes = {name: (len(source), len(layers), *x.shape[2:]) for name, x in one.items()}
        size = 2 * sum(np.prod(shape, dtype=np.int64) for shape in shapes.values())
        if size > LARGEST:
            raise BadInput(
                f"features of {len(source)} clips take {size / 2**30:.2f} GiB and a cache holds at most "
                f"{LARGEST / 2**30:g}: take fewer clips, frames or layers"
            )
        out = {name: torch.empty(shape, dtype=torch.float16) for name, shape in shapes.items()}
        for start in progress(range(0, len(source), batch), desc="features"):
            frames = source.frames(np.arange(start, min(start + batch, len(source)))).to(device)
            for name, x in vars(clip.frame_features(frames, layers)).items():
                part = out[name][start : start + batch].copy_(x.movedim(0, 1))
                if not part.isfinite().all():
                    raise BadInput(f"{name} features of clips {start} on do not fit into half precision: no cache")
        return out
    finally:
        clip.train(was_training).to(was_at)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, part, metadata)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"feature cache {path}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path, key: str) -> CachedFeatures:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise BadInput(f"feature cache {path}: cannot be read, remove it and it is made anew ({error})") from error
    if metadata.get("key") != key or tensors.keys() != {"cls", "patches"}:
        made_of = metadata.get("made_of", "unknown").splitlines()[0]
        raise BadInput(f"feature cache {path}: was made of something else ({made_of}); remove it and it is made anew")
    return CachedFeatures(**tensors)


# --- batches ---------------------------------------------------------------------------------------------------------


def feature_batches(
    features: CachedFeatures, source: ClipSource, seed: int, batch: int
) -> Callable[[int], tuple[FrameFeatures, Tensor]]:
    """step -> (features, labels), in the order of `minilib.world.train_batches` with all clips as its limit."""
    labels = source.labels(np.arange(len(features)))

    def at(step: int) -> tuple[FrameFeatures, Tensor]:
        indices = epoch_indices(seed, step, batch, len(features))
        return features.batch(indices), labels[indices]

    return at


def held_feature_batches(
    features: CachedFeatures, source: ClipSource, batch: int = 64
) -> Iterator[tuple[list[FrameFeatures], Tensor]]:
    """Batches of ([one view], labels) of all clips in order, as `minilib.training.evaluate` wants them."""
    for start in range(0, len(features), batch):
        indices = np.arange(start, min(start + batch, len(features)))
        yield [features.batch(indices)], source.labels(indices)
