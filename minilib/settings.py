"""Everything that makes a result, as plain data, and the short key by which it is found again.

A description holds values and *names*, never an address: a function or class stands for itself by its name. A renaming
would change the key, so the renamed thing declares the name that it had: `@declared("old_name")`. What cannot be
described is an error, for two things that look alike would share a row.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from inspect import isclass, isfunction
from typing import TypeVar

from minilib.errors import BadInput

Thing = TypeVar("Thing", bound=Callable)
DECLARED = "__declared_name__"
MOST_SEEDS = 1000  # that a command or a notebook can be asked for


def declared(name: str) -> Callable[[Thing], Thing]:
    """Decorates a function or class whose keys were made under another `name`."""

    def keep(thing: Thing) -> Thing:
        setattr(thing, DECLARED, name)
        return thing

    return keep


def name_of(thing: Callable) -> str:
    """The declared name of a function or class, or the one in its file; a lambda or a local function has none."""
    if DECLARED in vars(thing):
        return vars(thing)[DECLARED]
    if "<" in thing.__qualname__:
        raise BadInput(f"settings: {thing.__qualname__} has no name to find its results by; define it in a module")
    return thing.__qualname__


def describe(thing: object) -> object:
    """Plain data that differ where `thing` differs: numbers, texts, None, sequences, mappings, functions, classes,
    `partial`s, and dataclasses of such. A dataclass' field that says `compare=False` changes no result and is left out.

    Raises BadInput for anything else, and for numbers that are not finite.
    """
    if thing is None or isinstance(thing, bool | int | str):
        return thing
    if isinstance(thing, float):
        if not math.isfinite(thing):
            raise BadInput(f"settings: {thing} is no setting")
        return thing
    if isinstance(thing, tuple | list):
        return [describe(each) for each in thing]
    if isinstance(thing, Mapping):
        return {"mapping": sorted(([describe(key), describe(value)] for key, value in thing.items()), key=json.dumps)}
    if isinstance(thing, slice):
        return {"slice": [describe(each) for each in (thing.start, thing.stop, thing.step)]}
    if isinstance(thing, partial):
        return {"partial": describe(thing.func), "args": describe(thing.args), **_by_name(thing.keywords)}
    if dataclasses.is_dataclass(thing) and not isclass(thing):
        fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing) if field.compare}
        return {"type": name_of(type(thing)), **_by_name(fields)}
    if isclass(thing) or isfunction(thing):
        return {"name": name_of(thing)}
    raise BadInput(f"settings: a {type(thing).__name__} cannot be described ({str(thing)[:60]!r}); give plain values")


def _by_name(fields: Mapping[str, object]) -> dict[str, object]:
    return {f".{name}": describe(value) for name, value in sorted(fields.items())}


def key(*things: object) -> str:
    """Twelve hex digits of the description of all `things`."""
    text = json.dumps([describe(each) for each in things], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
