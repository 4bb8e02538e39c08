"""The frozen image model's tokens on disk: what never changes runs once, and an ablation costs only its head.

A cache is found by a key of everything that made it: the image model's tensors and settings, the layers, the clips,
the code and the libraries. So features of other weights, views or code are never read; they are made anew beside.

Axes: n clips of the source, b clips of a batch, l layers, t frames, p patches, d width, h and w pixels.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import open_clip
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from minilib.code import modules
from minilib.errors import BadInput
from minilib.files import whole_file, writable_folder
from minilib.models.clip import FrameFeatures, ImageText
from minilib.progress import progress

PACKAGE = Path(__file__).parent
LARGEST = 2**31  # bytes of a cache: it is filled in memory before it is written


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
    kind = type(module)
    return f"{kind.__module__}.{kind.__qualname__} {sorted((k, v) for k, v in plain.items() if k != 'training')}"


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


def code_hash(*things: object) -> str:
    """SHA-256 of the files that define the classes of `things`, and of all of minilib that those import (or, of a
    class outside it, of the files in its package): a change anywhere else leaves the caches valid."""
    own = {Path(__file__)}
    for thing in things:
        try:
            path = Path(inspect.getfile(type(thing)))
        except (TypeError, OSError) as error:
            raise BadInput(f"{type(thing).__name__}: define it in a file, so that a cache can know its code") from error
        foreign = not path.is_relative_to(PACKAGE) and (path.parent / "__init__.py").exists()
        own |= set(path.parent.glob("*.py")) if foreign and thing is things[0] else {path}
    digest = hashlib.sha256()
    for path in sorted(own | modules(path.read_text(encoding="utf-8") for path in own)):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def description(clip: ImageText, source: ClipSource, layers: Sequence[int]) -> str:
    """Everything that makes the features, in words and hashes; `cached` names the file by this text's SHA-256."""
    lines = (
        f"clips: {type(source).__module__}.{type(source).__qualname__}, {source.key()}",
        f"layers: {clip.blocks(layers)}",
        f"image model: {type(clip).__module__}.{type(clip).__qualname__}, {tower_hash(clip)}",
        f"code: {code_hash(source, clip, clip.visual)}",
        f"libraries: torch {torch.__version__}, open_clip {open_clip.__version__}, numpy {np.__version__}",
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
        with FileLock(path.with_suffix(".lock")):  # of several processes one makes them and the others wait
            if not path.exists():
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
    with whole_file(path) as part:
        try:
            save_file(tensors, part, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error


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
