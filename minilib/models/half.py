"""The shipped weights: half precision in safetensors files, single precision in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors.torch import save_file
from torch import Tensor, nn

from minilib.files import whole_file
from minilib.models.checkpoints import load_strictly, read_state

Module = TypeVar("Module", bound=nn.Module)


def save_half(module: nn.Module, path: Path | str, **more: Tensor) -> None:
    """Half-precision safetensors of all of a module's state, written whole or not at all; `more` is kept as it is."""
    state = {name: value.detach().half().cpu().contiguous() for name, value in module.state_dict().items()}
    with whole_file(path) as part:
        save_file(state | more, part)


def load_half(module: Module, path: Path | str) -> Module:
    """`module` with the weights of a file that `save_half` wrote, in single precision; BadInput for another's."""
    load_strictly(module, {name: value.float() for name, value in read_state(path).items()}, path)
    return module
