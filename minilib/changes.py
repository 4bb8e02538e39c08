"""Whether files are the ones of yesterday: their names, sizes and times, without reading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path


def stamp(path: Path | str, root: Path | str = "/") -> tuple[str, int, int]:
    """A file's name below `root`, its bytes and the time of its last change in nanoseconds; -1 where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.relpath(path, root), -1, -1
    return os.path.relpath(path, root), found.st_size, found.st_mtime_ns


def clips_key(root: Path | str, *lists: Iterable) -> str:
    """Sixteen hex digits of annotated clips, dataclasses with a `path`: all that is said of each, and its file."""
    digest = hashlib.sha256()
    for clips in lists:
        for clip in clips:
            said = [getattr(clip, field.name) for field in fields(clip) if field.name != "path"]
            digest.update(repr((stamp(clip.path, root), said)).encode("utf-8", "surrogateescape"))
        digest.update(b"next list")
    return digest.hexdigest()[:16]


def folder_key(folder: Path | str) -> str:
    """Sixteen hex digits of all files below a folder, or of one file."""
    digest = hashlib.sha256()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            digest.update(repr(stamp(os.path.join(place, name), folder)).encode("utf-8", "surrogateescape"))
    if not os.path.isdir(folder):
        digest.update(repr(stamp(folder, os.path.dirname(folder))).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
