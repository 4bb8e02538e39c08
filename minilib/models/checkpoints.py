"""Weights from files: tensors alone are read, and every tensor must find its place."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from minilib.errors import BadInput

WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a weights file: safetensors, a PyTorch file, or OpenAI's TorchScript archive. Raises BadInput
    for a file that is not there, and for one that holds other things."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"weights {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice on old formats, which is not the reader's to follow
            try:
                state = _load(path)
            except RuntimeError as error:
                if "TorchScript" not in str(error):
                    raise
                state = torch.jit.load(path, map_location="cpu").state_dict()
        for envelope in ("state_dict", "model_state", "model_state_dict", "model"):
            state = state.get(envelope, state) if isinstance(state, dict) else state
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise TypeError("it holds other things than tensors")
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"weights {path}: cannot be read as tensors ({reason})") from error
    return {unwrapped(name): value for name, value in state.items()}


class _Nothing:
    """What an object of a foreign class in a file is read as: it keeps nothing and does nothing."""

    def __init__(self, *args: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _load(path: Path) -> object:
    """What a PyTorch file holds, without running any code of it. Objects of other classes, such as the logs that
    mmengine writes beside the tensors, become `_Nothing`."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        if not foreign:
            raise
        with torch.serialization.safe_globals([(_Nothing, name) for name in foreign]):
            return torch.load(path, map_location="cpu", weights_only=True)


def unwrapped(name: str) -> str:
    """A tensor's name without what data-parallel training, compilation and sharding put into it."""
    return WRAPPERS.sub("", name.removeprefix("module.")).removeprefix("module.")


def renamed(
    state: Mapping[str, Tensor], rules: Iterable[tuple[str, str | Callable[[re.Match], str]]]
) -> dict[str, Tensor]:
    """The state with every name after all rules (pattern, replacement) in turn."""
    out = {}
    for name, tensor in state.items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        out[name] = tensor
    return out


def bare_model(model: nn.Module) -> nn.Module:
    """The model inside compilation and data-parallel training."""
    inner = getattr(model, "_orig_mod", model)
    return inner.module if isinstance(inner, nn.DataParallel | nn.parallel.DistributedDataParallel) else inner


def load_strictly(module: nn.Module, state: dict[str, Tensor], source: object) -> None:
    """Copies `state` into `module`. Raises BadInput, before anything is written, that names a missing, foreign or
    misshapen tensor.

    Counters of batches, which old files lack, may be missing.
    """
    own = module.state_dict()
    state = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")} | state
    missing, foreign = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    misshapen = [k for k in sorted(own.keys() & state.keys()) if own[k].shape != state[k].shape]
    for what, keys in (("is missing", missing), ("is not part of this model", foreign)):
        if keys:
            raise BadInput(f"weights {source}: {keys[0]} {what} ({len(keys)} such tensors)")
    if misshapen:
        k = misshapen[0]
        raise BadInput(f"weights {source}: {k} is {tuple(state[k].shape)}, the model has {tuple(own[k].shape)}")
    module.load_state_dict(state)
