"""A second device without hardware: `meta` that computes. Tensors that are sent there keep their numbers on the CPU.

As on a GPU, an operator whose tensors are on both devices raises `MixedDevices` (single numbers of the CPU aside), and
so does a random draw with the other device's generator. What a GPU would wait for is noted: operators whose result a
program must read before it goes on (`item`, `nonzero`, a boolean mask as an index), and copies back to the CPU.

FakeTensorMode knows shapes alone and has no backward pass without a GPU; here whole runs go through: feeds, training,
scores.

with SecondDevice() as device:
    variant.run(recipe, Trial(0, NAME))
device.waits      -> [(operator, the calls that led to it)]
"""

from __future__ import annotations

import traceback

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

NAME = "meta"
aten = torch.ops.aten
TO_READ = {aten._local_scalar_dense.default, aten.equal.default, aten.is_nonzero.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
MADE_FROM_DATA = {torch.tensor, torch.as_tensor, torch.asarray}
EITHER_INDEX = INDEXED  # an index may lie on the CPU, and is then copied to the device


def _calls() -> traceback.StackSummary:
    return traceback.StackSummary.extract(traceback.walk_stack(None), lookup_lines=False)


class MixedDevices(RuntimeError):
    """Tensors of both devices in one operator."""


class OnSecond(Tensor):
    """A tensor of the second device; `numbers` holds it."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor):
        made = Tensor._make_wrapper_subclass(
            cls,
            numbers.size(),
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            layout=numbers.layout,
            device=NAME,
            requires_grad=False,
        )
        made.numbers = numbers.detach()
        return made

    def __repr__(self) -> str:
        return f"OnSecond({self.numbers!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise MixedDevices(f"{func}: a tensor of the second device outside of SecondDevice")


class FromData(TorchFunctionMode):
    """`torch.tensor(..., device="meta")` and its like would forget their numbers: they are made on the CPU and sent."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in MADE_FROM_DATA and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


class SecondDevice(TorchDispatchMode):
    """While it is on, the device `meta` computes."""

    def __init__(self):
        super().__init__()
        self.waits: list[tuple[str, traceback.StackSummary]] = []
        self.from_data = FromData()

    def __enter__(self):
        self.from_data.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.from_data.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        flat, _ = tree_flatten((args, kwargs))
        tensors = [x for x in flat if isinstance(x, Tensor)]
        second = [x for x in tensors if isinstance(x, OnSecond)]
        asked = kwargs.get("device")
        to_second = torch.device(asked).type == NAME if asked is not None else bool(second)
        copies = func in (aten._to_copy.default, aten.copy_.default)
        if not second and not to_second:
            return func(*args, **kwargs)
        if func is aten._has_compatible_shallow_copy_type.default:
            return False  # so that a module that moves gets new parameters
        if second and not copies:
            self._same_device(func, args, tensors)
        self._own_generator(func, kwargs, to_second)
        if self._waits(func, args, to_second, second):
            self.waits.append((str(func), _calls()))
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        kwargs.pop("non_blocking", None)
        kwargs.pop("pin_memory", None)
        inner_args, inner_kwargs = tree_map_only(OnSecond, lambda x: x.numbers, (args, kwargs))
        out = func(*inner_args, **inner_kwargs)
        stays = to_second if not copies or func is aten._to_copy.default else isinstance(args[0], OnSecond)
        if stays:
            return self._wrapped(out, (args, kwargs))
        return out if func is aten._to_copy.default else args[0]

    @staticmethod
    def _wrapped(out, given):
        """What an operator returns: the same tensor where it changed one in place."""
        known = {id(x.numbers): x for x in tree_flatten(given)[0] if isinstance(x, OnSecond)}
        return tree_map_only(Tensor, lambda x: known[id(x)] if id(x) in known else OnSecond(x), out)

    def _same_device(self, func, args, tensors) -> None:
        for x in tensors:
            if isinstance(x, OnSecond) or x.ndim == 0:
                continue
            if func in EITHER_INDEX and isinstance(args[1], list | tuple) and any(x is each for each in args[1]):
                self.waits.append((f"{func} with an index of the CPU", _calls()))
                continue
            raise MixedDevices(f"{func}: tensors {[(type(t).__name__, tuple(t.shape)) for t in tensors]}")

    @staticmethod
    def _own_generator(func, kwargs, to_second) -> None:
        generator = kwargs.get("generator")
        if generator is not None and to_second and generator.device.type != NAME:
            raise MixedDevices(f"{func}: a generator of {generator.device} draws for the second device")

    @staticmethod
    def _waits(func, args, to_second, second) -> bool:
        if not second:
            return False
        if func is aten._to_copy.default:
            return not to_second
        if func is aten.copy_.default:
            return not isinstance(args[0], OnSecond)
        if func in TO_READ:
            return True
        if func in INDEXED:
            return any(isinstance(x, Tensor) and x.dtype == torch.bool for x in args[1])
        return torch.Tag.dynamic_output_shape in func.tags or torch.Tag.data_dependent_output in func.tags
