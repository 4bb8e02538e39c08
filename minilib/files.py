"""Where the suite keeps things, and writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minilib.errors import BadInput

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent  # the checkout, or where a wheel was installed
IN_CHECKOUT = (ROOT / "pyproject.toml").is_file() and (ROOT / "data_manifests").is_dir()
CARRIED = ROOT if IN_CHECKOUT else PACKAGE  # manifests and rows: a wheel has them in the package
NOTEBOOKS = ROOT / "notebooks"
RESULTS = CARRIED / "results"
RUNS = (ROOT if IN_CHECKOUT else Path.cwd()) / "runs"  # what is made and can be made again


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A file beside `path` to write into, moved there at the end: readers see the old file or the new one, never a
    part, and nothing is left where writing failed. Raises BadInput naming `path` where it cannot be written."""
    path, part = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        part = Path(name)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def write_whole(path: Path | str, content: str | bytes) -> Path:
    """Writes `content` through `whole_file`."""
    with whole_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def writable_folder(path: Path | str, what: str = "out_dir") -> Path:
    """The folder, made if needed; `BadInput` naming it where nothing can be written there."""
    path = Path(path).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            pass
    except OSError as error:
        raise BadInput(f"{what}={str(path)!r}: cannot write there ({error.strerror or error}); name another") from error
    return path
