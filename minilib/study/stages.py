"""Trainings before the training: weights that a run starts from, made once and kept on disk.

A stage is a variant after a recipe. What it starts from may be a stage itself, so a whole history is one value. The
file is found by a key of everything that made the weights: the stage in words, the seed, device and threads, the code.
Several processes that need the same stage wait for the one that trains it.
A task asks for its stages when it makes a feed, before the seed of the run is set.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache, partial
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from minilib.code import modules
from minilib.environment import device_name
from minilib.errors import BadInput
from minilib.files import RUNS, write_whole
from minilib.processes import one_at_a_time
from minilib.settings import describe, key
from minilib.study.feeds import Feed
from minilib.study.recipes import Recipe
from minilib.study.study import Trial, Variant

FOLDER = RUNS / "stages"

State = dict[str, Tensor]


@dataclass(frozen=True)
class Stage:
    """`variant` after the training `recipe`. name: what the progress bar says."""

    variant: Variant
    recipe: Recipe
    name: str = field(default="stage", compare=False)

    def state(self, seed: int, device: str = "cpu") -> State:
        """The weights, from disk where they have been made; raises BadInput for a file that cannot be read."""
        where = (seed, device_name(device), torch.get_num_threads(), torch.__version__, code_of(self.variant))
        path = FOLDER / f"{key(describe(self), *where)}.safetensors"
        if not path.exists():
            with one_at_a_time(FOLDER.parent / "locks" / path.stem):
                if not path.exists():  # or another process made it meanwhile
                    self._make(path, seed, device)
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise BadInput(f"{path}: cannot be read, remove it and it is made again ({error})") from error

    def _make(self, path: Path, seed: int, device: str) -> None:
        """Trains and writes the file, whole or not at all."""
        inputs = self.variant.task.feed("train", seed, device)
        model, _ = self.variant.trained(inputs, self.recipe, Trial(seed, device, self.name))
        state = {name: x.detach().cpu().contiguous() for name, x in model.state_dict().items()}
        write_whole(path, safetensors.torch.save(state))

    def model(self, inputs: Feed, seed: int, device: str = "cpu") -> nn.Module:
        """The trained model itself, which the variant builds on `inputs`."""
        model = self.variant.build(inputs)
        model.load_state_dict(self.state(seed, device))
        return model

    def smoke(self) -> Stage:
        return replace(self, variant=self.variant.smoke(), recipe=self.recipe.smoke())


def code_of(thing: object) -> str:
    """SHA-256 of the files that define every function and class within `thing`, and of all of minilib that they
    import; but not of `minilib.claims`, which judges and makes nothing."""
    return _hash(frozenset(Path(inspect.getfile(each)) for each in definitions(thing)))


@cache  # a process runs the code that it has read
def _hash(own: frozenset[Path]) -> str:
    every = own | modules(path.read_text(encoding="utf-8") for path in own)
    digest = hashlib.sha256()
    for path in sorted(path for path in every if path.parent.name != "claims"):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def definitions(thing: object) -> Iterator[object]:
    """The functions and classes that a description of `thing` names."""
    if inspect.isfunction(thing) or inspect.isclass(thing):
        yield thing
    elif isinstance(thing, partial):
        for each in (thing.func, *thing.args, *thing.keywords.values()):
            yield from definitions(each)
    elif isinstance(thing, tuple | list):
        for each in thing:
            yield from definitions(each)
    elif is_dataclass(thing):
        yield type(thing)
        for each in fields(thing):
            yield from definitions(getattr(thing, each.name))
