"""Measured rows: append-only JSON lines that are the record of what was measured and a cache of it.

Committed rows lie in `results/rows/<paper>.jsonl`, a run's own in `<out_dir>/rows/<paper>.jsonl`. A row counts only
while its experiment version is the claims file's; of two rows for the same measurement the later one counts.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from minilib.claims.model import COST
from minilib.environment import is_clean
from minilib.errors import BadInput

try:
    import fcntl
except ImportError:  # no such lock on Windows; a single write is still whole there
    fcntl = None

BLOCK = 4096  # bytes read at a time where the end of the last whole line is looked for


class Row(BaseModel):
    """One number, and everything needed to judge it later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(min_length=1, max_length=300)
    value: FiniteFloat
    seed: int = Field(0, ge=0, lt=2**32)  # or the number of the clip, or of the round
    settings: str = Field("", max_length=300)
    experiment: int = Field(1, ge=1, lt=1_000_000)
    scale: Literal["smoke", "small", "paper"] = "small"
    versions: dict[str, str] = {}
    commit: str | None = None
    device: str = ""
    dtype: str = "float32"
    threads: int = Field(1, ge=0, lt=2**32)
    seconds: FiniteFloat = 0.0
    peak_memory: int | None = Field(None, ge=0, lt=2**63)  # bytes
    barred: str = ""  # why this row never judges, such as "shared test clips"
    data: str = ""  # of real videos: which data set, how much of it, from which weights

    @property
    def key(self) -> tuple:
        """What makes two rows the same measurement; a cost is of one device."""
        device = self.device if self.metric.startswith(COST) else ""
        return self.metric, self.seed, self.settings, self.experiment, self.scale, device

    @property
    def judges(self) -> bool:
        """Whether a verdict may rest on this row: its code is known and nothing bars it."""
        return not self.barred and self.scale != "smoke" and is_clean(self.commit)

    @property
    def setup(self) -> tuple[str, str, int]:
        """What the two rows of a pair must share."""
        return self.device, self.dtype, self.threads

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU measured it: a processor's name ends in the number of its cores."""
        return not self.device.endswith(" cores")


_ROWS = TypeAdapter(list[Row])


def append_rows(path: Path | str, rows: Iterable[Row]) -> None:
    """Adds whole lines or nothing. What an interrupted writer left at the end of the file is cut off first.

    Only the file's end is read, and a lock keeps other processes out meanwhile.
    """
    lines = [row.model_dump_json().encode() for row in rows]
    if not lines:
        return
    try:
        _parse(lines)  # a copy can hold what a row may not
    except ValidationError as error:
        raise BadInput(f"rows {path}: {_reason(error)}") from error
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise BadInput(f"rows {path}: cannot be written ({error.strerror or error})") from error
    with _locked(handle, exclusive=True):
        size = _whole_length(handle)
        data = b"".join(line + b"\n" for line in lines)
        try:
            written = os.write(handle, data)
            os.fsync(handle)
            if written < len(data):
                raise OSError("the disk is full")
        except OSError as error:
            if os.fstat(handle).st_size > size:
                os.ftruncate(handle, size)
            raise BadInput(f"rows {path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _locked(handle: int, exclusive: bool) -> Iterator[None]:
    """Holds the file's lock, and closes the file afterwards."""
    try:
        if fcntl:
            fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _whole_length(handle: int) -> int:
    """The file's length once a torn last line is cut off or a missing line end added. Reads no more than that line."""
    size = start = os.fstat(handle).st_size
    tail = b""
    while start and b"\n" not in tail:
        step = min(BLOCK, start) if tail else 1
        start -= step
        tail = os.pread(handle, step, start) + tail
    tail = tail[tail.rfind(b"\n") + 1 :]
    if tail and not _is_row(tail):
        os.ftruncate(handle, size := size - len(tail))
    elif tail:
        size += os.write(handle, b"\n")
    return size


def _parse(lines: list[bytes]) -> list[Row]:
    """All rows in one go, which is ten times as fast as one by one; garbage collection would cost as much again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _ROWS.validate_json(b"[" + b",".join(lines) + b"]")
    finally:
        if collecting:
            gc.enable()


def _is_row(line: bytes) -> bool:
    try:
        return len(_parse([line])) == 1
    except ValidationError:
        return False


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{first['loc'][-1] if first['loc'] else 'line'}: {first['msg']}"


class RowFile:
    """One file of rows, read once, and from then on only what was appended to it."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self._read, self._inode = 0, None

    def new(self) -> list[Row]:
        """The rows that were not there at the last call; all of them at the first, or if the file was replaced."""
        try:
            found = self.path.stat()
            if (found.st_size, found.st_ino) == (self._read, self._inode):
                return []
            content, inode = self._grown()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadInput(f"rows {self.path}: cannot be read ({error.strerror or error})") from error
        first, self._inode = self._inode is None, inode
        whole = content.rfind(b"\n") + 1
        if content[whole:].strip():
            if _is_row(content[whole:]):
                whole = len(content)
            elif first:
                warnings.warn(f"{self.path.name}: the last line is cut off and is ignored", stacklevel=3)
        lines = [line for line in content[:whole].split(b"\n") if line.strip()]
        try:
            rows = _parse(lines)
        except ValidationError:
            rows = []
        if len(rows) != len(lines):
            raise self._wrong(lines)
        self._read += whole
        return rows

    def _grown(self) -> tuple[bytes, int]:
        """What lies behind the part that was read, and the file's inode."""
        handle = os.open(self.path, os.O_RDONLY)
        with _locked(handle, exclusive=False):
            found = os.fstat(handle)
            if found.st_ino != self._inode or found.st_size < self._read:
                self._read = 0
            content = b""
            while part := os.pread(handle, found.st_size - self._read - len(content), self._read + len(content)):
                content += part
        return content, found.st_ino

    def _wrong(self, lines: list[bytes]) -> BadInput:
        """The error that names the first line that is no row."""
        for line in lines:
            try:
                if len(_parse([line])) == 1:
                    continue
                reason = "not one row"
            except ValidationError as error:
                reason = f"not a row ({_reason(error)})"
            number = self.path.read_bytes().split(b"\n").index(line) + 1
            if b'"measure":' in line:
                return BadInput(
                    f"rows {self.path}, line {number}: the old form, from before the migration of `measure` to "
                    "`metric`; delete the file (what is still valid lies migrated in results/rows)"
                )
            return BadInput(f"rows {self.path}, line {number}: {reason}; delete that line")
        return BadInput(f"rows {self.path}: lines that are no rows")


def read_rows(path: Path | str) -> list[Row]:
    """All rows of a file, none where it is missing. A torn last line is ignored with a warning."""
    return RowFile(path).new()


def all_rows(paper: str, *folders: Path | str) -> list[Row]:
    """The paper's rows of these folders in turn, so that a later folder's rows win."""
    return [row for folder in folders for row in read_rows(Path(folder) / "rows" / f"{paper}.jsonl")]
