"""What a model costs: multiply-adds and parameters here, memory in `minilib.memory`. Every number says what
was counted.

The counting convention of the papers, which is fvcore's: one multiply-add is one, for convolutions, linear layers and
both matrix products of an attention; plus five for each element that goes into a LayerNorm; softmax, activations,
residuals and the other norms are free. Views multiply.

Nothing here knows a model: what is counted is a function, or a module and its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from minilib.errors import BadInput
from minilib.memory import Memory, peak_training_memory

__all__ = [
    "Cost",
    "Memory",
    "cost",
    "counting",
    "multiply_adds",
    "parameters",
    "peak_training_memory",
    "tunable_parameters",
]

LAYER_NORM_COST = 5

# --- multiply-adds ---------------------------------------------------------------------------------------------------


aten = torch.ops.aten
WITH_A_VECTOR = {  # torch's table of formulas leaves these products out
    aten.mv: lambda matrix, vector, **_: 2 * matrix.numel(),
    aten.addmv: lambda bias, matrix, vector, **_: 2 * matrix.numel(),
    aten.dot: lambda x, y, **_: 2 * x.numel(),
}


class _Counter(TorchDispatchMode):
    """Adds up torch's own formulas (`flop_registry`) for every operator that runs.

    `FlopCounterMode` does the same, but raises where a module is given a view of a parameter under `no_grad`.
    """

    def __init__(self, layer_norm_cost: int):
        super().__init__()
        norms = {aten.native_layer_norm: lambda x, *_, **__: 2 * layer_norm_cost * x.numel()}
        self.formulas, self.flops = {**flop_registry, **WITH_A_VECTOR, **norms}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        formula = self.formulas.get(getattr(func, "_overloadpacket", func))
        if formula is None and isinstance(func, torch._ops.OpOverload):
            with self:  # under inference_mode whole compositions arrive here
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out


@contextmanager
def counting(layer_norm_cost: int = LAYER_NORM_COST) -> Iterator[Callable[[], int]]:
    """Counts the multiply-adds of what runs inside, on any device, backward passes included; yields the reader.

    with counting() as count: model(x)
    print(count())

    The fused `nn.MultiheadAttention` of evaluation mode hides its products and is switched off meanwhile. A LayerNorm's
    backward pass is free.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _Counter(layer_norm_cost) as counter:
            yield lambda: counter.flops // 2
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _on_meta(tensors):
    return tree_map_only(Tensor, lambda tensor: tensor.to("meta"), tensors)


def multiply_adds(model: Callable, *inputs, layer_norm_cost: int = LAYER_NORM_COST) -> int:
    """Multiply-adds of one forward pass `model(*inputs)`; `layer_norm_cost=0` leaves the LayerNorms out.

    A module is counted on the meta device, wherever it lives and without computing anything: only the shapes of the
    inputs matter. Any other function is called as it is; give it meta tensors if it should not compute.
    """
    if isinstance(model, nn.Module):
        state = _on_meta({**dict(model.named_parameters()), **dict(model.named_buffers())})
        model, inputs = partial(functional_call, model, state), (_on_meta(inputs),)
    with counting(layer_norm_cost) as count, torch.no_grad():
        model(*inputs)
    return count()


# --- parameters ------------------------------------------------------------------------------------------------------


def convolutions(model: nn.Module, *inputs) -> float:
    """10^9 multiply-adds of a model's convolutions alone, as tables of convolutional networks often count."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(*inputs)
    return counter.get_flop_counts()["Global"].get(torch.ops.aten.convolution, 0) / 2e9


def parameters(module: nn.Module) -> int:
    """All parameters; one that is shared counts once."""
    return sum(p.numel() for p in module.parameters())


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def tunable_parameters(module: nn.Module, exclude: Sequence[str] = ()) -> int:
    """Parameters that are trained, without those whose names begin with one of `exclude` ("head": most papers leave
    the classifier out)."""
    named = dict(module.named_parameters())
    for prefix in exclude:
        if not any(_under(name, prefix) for name in named):
            raise BadInput(f"exclude {prefix!r}: {type(module).__name__} has no such parameters")
    return sum(p.numel() for n, p in named.items() if p.requires_grad and not any(_under(n, e) for e in exclude))


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of all views together, all parameters, and the trained ones without `excluded`."""

    multiply_adds: int
    parameters: int
    tunable: int
    views: int = 1
    layer_norm_cost: int = LAYER_NORM_COST
    excluded: tuple[str, ...] = ()

    def __str__(self) -> str:
        norms = f" + {self.layer_norm_cost} per LayerNorm element" if self.layer_norm_cost else ", LayerNorm free"
        without = f" without {', '.join(self.excluded)}" if self.excluded else ""
        views = f"{self.views} view{'s' * (self.views > 1)}"
        return (
            f"{self.multiply_adds / 1e9:.2f} G multiply-adds ({views}, 1 a MAC{norms}), "
            f"{self.parameters / 1e6:.2f} M parameters, {self.tunable / 1e6:.2f} M tunable{without}"
        )


def cost(
    model: nn.Module, *inputs, views: int = 1, layer_norm_cost: int = LAYER_NORM_COST, exclude: Sequence[str] = ()
) -> Cost:
    """The countable costs of a module; `inputs` are one view."""
    one = multiply_adds(model, *inputs, layer_norm_cost=layer_norm_cost)
    tunable = tunable_parameters(model, exclude)
    return Cost(views * one, parameters(model), tunable, views, layer_norm_cost, tuple(exclude))
