"""The short key of what a row was measured with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping

from minilib.errors import BadInput


def settings_hash(settings: object) -> str:
    """Eight hex digits of the settings: dataclasses, mappings, lists, texts and numbers. Others are `BadInput`."""
    text = json.dumps(_plain(settings, "settings"), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _plain(value: object, where: str) -> object:
    """The settings as JSON holds them, nothing lost on the way."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{where}.{f.name}") for f in dataclasses.fields(value)}
    if value is None or type(value) in (str, bool, int) or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        return {key: _plain(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, f"{where}[{k}]") for k, part in enumerate(value)]
    raise BadInput(f"{where}: a {type(value).__name__} cannot be described; give text, numbers or a dataclass of them")
