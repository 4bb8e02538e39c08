"""A trained video model in two files, and what it says of videos: NAME.safetensors holds the tensors, NAME.json says
what they are. The second is written last and names the hash of the first, so a model is there whole or not at all.

Only what was trained is kept. The frozen image-text model is named by a hash and must be at hand again: the small CLIP
comes with the package, the others lie where their manifest says.

Axes: k classes, v views, t frames.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from minilib.datasets.folder import read_views
from minilib.errors import BadInput
from minilib.files import whole_file, write_whole
from minilib.manifests import file_hash
from minilib.study.real import SIZE, Method, Run, sampling_of
from minilib.training import scores
from minilib.video import VideoError

PLACES = {  # where each method is; what a file names is looked up here and nowhere else
    "zeroi2v": "minilib.papers.zeroi2v.published:zeroi2v",
    "dist": "minilib.papers.dist.released:released",
    "object_centric": "minilib.papers.object_centric.full_size:object_centric",
    "victr": "minilib.papers.victr.videos:on_videos",
    "st_adapter": "minilib.papers.baselines.videos:st_adapter",
    "aim": "minilib.papers.baselines.videos:aim",
    "evl": "minilib.papers.baselines.videos:evl",
    "change_probe": "minilib.papers.baselines.videos:change_probe",
    "full_image": "minilib.papers.baselines.videos:tuned_image_model",
}


def method_of(name: str) -> Method:
    """The image-to-video method of that name, ready for `study.real`."""
    if name not in PLACES:
        raise BadInput(f"method {name!r}: choose of {', '.join(PLACES)}")
    module, _, function = PLACES[name].partition(":")
    return getattr(import_module(module), function)


class Card(BaseModel):
    """What NAME.json says. frames: how many the model reads; of `run` what builds the model again; measured: metrics of
    the videos that it was tested on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    backbone: str
    clip_frames: int
    frames: int
    sampling: dict
    views: dict[str, int]
    tensors: str = ""
    frozen: str = ""
    measured: dict[str, float] = {}
    trained_on: str = ""
    made_with: dict = {}


@dataclass(frozen=True)
class Prediction:
    """What a model says of one video: a probability for each class, (k,); or why it cannot be read."""

    video: str
    classes: tuple[str, ...]
    probabilities: Tensor | None
    error: str = ""

    @property
    def label(self) -> str:
        """The most probable class; empty where the video cannot be read."""
        return "" if self.probabilities is None else self.classes[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float | None:
        """Of `label`."""
        return None if self.probabilities is None else float(self.probabilities.max())


@dataclass(frozen=True)
class VideoModel:
    """A trained model and its card."""

    model: nn.Module
    card: Card

    def predict(self, videos: Sequence[Path | str], device: torch.device | str = "cpu") -> Iterator[Prediction]:
        """One `Prediction` for each video, as they are made. A video that cannot be read has its reason."""
        card = self.card
        sampling = sampling_of(card.sampling, card.frames)
        for video in videos:
            try:
                read = read_views(
                    video, card.frames, SIZE[card.backbone], sampling, card.views["clips"], card.views["crops"]
                )
            except VideoError as error:
                yield Prediction(str(video), card.classes, None, str(error))
                continue
            views = torch.from_numpy(read).unsqueeze(1)  # (v, 1, t, h, w, 3)
            yield Prediction(str(video), card.classes, scores(self.model, views, device)[0])


# --- files -----------------------------------------------------------------------------------------------------------


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What training changes: parameters that learn, and lasting buffers."""
    lasting = model.state_dict().keys()
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return found | {name: b for name, b in model.named_buffers() if name in lasting}


def frozen_hash(model: nn.Module) -> str:
    """Sixteen hex digits of all parameters that do not learn: names, shapes and numbers."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            digest.update(f"{name} {tuple(parameter.shape)}".encode())
            digest.update(parameter.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def paths_of(model: Path | str) -> tuple[Path, Path]:
    """The files of a model that is named by either of them, or without the suffix: tensors, card."""
    path = Path(model).expanduser()
    stem = path.with_suffix("") if path.suffix in (".json", ".safetensors") else path
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")


def save_model(path: Path | str, made: VideoModel) -> Path:
    """Writes both files; returns the card's. What was there before is replaced."""
    tensors, card = paths_of(path)
    card.unlink(missing_ok=True)  # from here on there is no model, until there is the new one
    with whole_file(tensors) as part:
        try:
            kept = {name: value.detach().cpu().contiguous() for name, value in trained_tensors(made.model).items()}
            save_file(kept, part)
        except SafetensorError as error:
            raise OSError(str(error)) from error
    said = made.card.model_copy(update={"tensors": file_hash(tensors), "frozen": frozen_hash(made.model)})
    return write_whole(card, json.dumps(said.model_dump(), indent=1) + "\n")


def load_model(path: Path | str, data_root: str = "", weights: str = "") -> VideoModel:
    """A model that `save_model` wrote, in evaluation mode. weights, data_root: where the image-text model is, as in
    `Run`; the small CLIP needs neither. What is missing, cut off or does not fit is BadInput."""
    tensors, card_path = paths_of(path)
    for each in (card_path, tensors):
        if not each.is_file():
            raise BadInput(f"model {path}: there is no file {each}")
    try:
        card = Card.model_validate_json(card_path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise BadInput(f"model {card_path}: {where}: {first['msg']}") from error
    if card.tensors != file_hash(tensors):
        raise BadInput(f"model {path}: {tensors.name} is not the file that {card_path.name} was written for")
    run = Run("folder", data_root, card.backbone, card.clip_frames, weights)
    model = method_of(card.method)(run, card.classes).model
    put(model, tensors)
    if frozen_hash(model) != card.frozen:
        raise BadInput(f"model {path}: it was trained on another image-text model than the {card.backbone} here")
    return VideoModel(model.eval(), card)


def put(model: nn.Module, path: Path) -> None:
    """Copies the trained tensors of a file into a model of the same method; BadInput where one does not fit."""
    state, own = load_file(path), trained_tensors(model)
    for name in sorted(state.keys() ^ own.keys()):
        raise BadInput(f"model {path}: {name} {'is missing' if name in own else 'is not part of this method'}")
    with torch.no_grad():
        for name, value in state.items():
            if value.shape != own[name].shape:
                raise BadInput(f"model {path}: {name} is {tuple(value.shape)}, the method has {tuple(own[name].shape)}")
            own[name].copy_(value)
