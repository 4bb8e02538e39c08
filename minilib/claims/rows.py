"""Measured rows: append-only JSON lines that are the record of what was measured and a cache of it.

Committed rows lie in `results/rows/<paper>.jsonl`, a run's own in `<out_dir>/rows/<paper>.jsonl`. A row counts only
while its experiment version is the claims file's; of two rows for the same measurement the later one counts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from minilib.claims.environment import environment
from minilib.claims.model import FOLDER, load
from minilib.errors import BadInput
from minilib.files import RESULTS

try:
    import fcntl
except ImportError:  # no such lock on Windows; a single write is still whole there
    fcntl = None


class Row(BaseModel):
    """One number, and everything needed to judge it later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: str = Field(min_length=1)
    value: FiniteFloat
    seed: int = 0
    settings: str = ""
    experiment: int = 1
    scale: Literal["smoke", "small", "paper"] = "small"
    versions: dict[str, str] = {}
    commit: str | None = None
    device: str = ""
    dtype: str = "float32"
    threads: int = 1
    seconds: float = 0.0
    peak_memory: int | None = None  # bytes

    @property
    def key(self) -> tuple:
        """What makes two rows the same measurement."""
        return self.measure, self.seed, self.settings, self.experiment, self.scale


def settings_hash(settings: object) -> str:
    """Eight hex digits of the settings: a dataclass, a mapping, or anything JSON can hold."""
    plain = dataclasses.asdict(settings) if dataclasses.is_dataclass(settings) else settings
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:8]


def append_rows(path: Path | str, rows: Iterable[Row]) -> None:
    """Adds whole lines or nothing. What an interrupted writer left at the end of the file is cut off first."""
    lines = "".join(row.model_dump_json() + "\n" for row in rows).encode()
    if not lines:
        return
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise BadInput(f"rows {path}: cannot be written ({error.strerror or error})") from error
    try:
        if fcntl:
            fcntl.flock(handle, fcntl.LOCK_EX)
        size = _whole_length(handle)
        try:
            written = os.write(handle, lines)
            os.fsync(handle)
            if written < len(lines):
                raise OSError("the disk is full")
        except OSError as error:
            if os.fstat(handle).st_size > size:
                os.ftruncate(handle, size)
            raise BadInput(f"rows {path}: cannot be written ({error.strerror or error})") from error
    finally:
        os.close(handle)


def _whole_length(handle: int) -> int:
    """The file's length once a torn last line is cut off or a missing line end added."""
    size = os.fstat(handle).st_size
    content = os.pread(handle, size, 0)
    tail = content[content.rfind(b"\n") + 1 :]
    if tail and _parse(tail) is None:
        os.ftruncate(handle, size := size - len(tail))
    elif tail:
        size += os.write(handle, b"\n")
    return size


def _parse(line: bytes) -> Row | None:
    try:
        return Row.model_validate_json(line)
    except ValidationError:
        return None


def read_rows(path: Path | str) -> list[Row]:
    """All rows of a file, none where it is missing. A torn last line is ignored with a warning."""
    path, rows = Path(path), []
    if not path.is_file():
        return rows
    content = path.read_bytes()
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _parse(line)
        if row is not None:
            rows.append(row)
        elif number == len(lines):
            warnings.warn(f"{path.name}: the last line is cut off and is ignored", stacklevel=2)
        else:
            raise BadInput(f"rows {path}, line {number}: not a row; delete that line")
    return rows


def latest(rows: Iterable[Row], experiment: int) -> list[Row]:
    """The current experiment's rows, the last one of each measurement, in the order in which they were measured."""
    found: dict[tuple, Row] = {}
    for row in rows:
        if row.experiment == experiment:
            found.pop(row.key, None)  # so that what is measured again comes last
            found[row.key] = row
    return list(found.values())


def newest(rows: Iterable[Row]) -> list[Row]:
    """Of each measure at each scale only the rows with the settings of its newest one. Rows of other settings are a
    cache for runs that ask for them, and never shown beside or in the place of the newest."""
    rows = list(rows)
    settings = {(row.measure, row.scale): row.settings for row in rows}
    return [row for row in rows if row.settings == settings[row.measure, row.scale]]


def all_rows(paper: str, *folders: Path | str) -> list[Row]:
    """The paper's rows of these folders in turn, so that a later folder's rows win."""
    return [row for folder in folders for row in read_rows(Path(folder) / "rows" / f"{paper}.jsonl")]


class Measurements:
    """A paper's rows as a notebook uses them: look one up, or measure it and keep it.

    Committed rows are read; new ones go to `<out_dir>/rows/<paper>.jsonl`. With `fresh`, only what this object measured
    itself is taken from the cache.
    """

    def __init__(
        self,
        paper: str,
        out_dir: Path | str,
        scale: str = "small",
        fresh: bool = False,
        device: str = "cpu",
        dtype: str = "float32",
        committed: Path | str = RESULTS,
        claims_folder: Path | str = FOLDER,
    ):
        self.paper, self.scale, self.fresh, self.device, self.dtype = paper, scale, fresh, device, dtype
        self.path = Path(out_dir) / "rows" / f"{paper}.jsonl"
        self.experiment = load(paper, claims_folder).experiment
        self._rows = all_rows(paper, committed, out_dir)
        self._known: Sequence[Row] = () if fresh else tuple(self._rows)

    def rows(self) -> list[Row]:
        """Current rows, newest of each measurement, of every scale."""
        return latest(self._rows, self.experiment)

    def seeds_of(self, scale: str = "small") -> dict[str, dict[int, float]]:
        """{measure: {seed: value}} of the current rows of one scale."""
        found: dict[str, dict[int, float]] = {}
        for row in newest(self.rows()):
            if row.scale == scale:
                found.setdefault(row.measure, {})[row.seed] = row.value
        return found

    def find(self, measure: str, seed: int = 0, settings: object = None) -> float | dict[str, float] | None:
        """The value that is already there: a number, or a dict where the run gave several; None where there is none."""
        wanted = (seed, settings_hash(settings), self.scale)
        same = [r for r in latest(self._known, self.experiment) if (r.seed, r.settings, r.scale) == wanted]
        for row in same:
            if row.measure == measure:
                return row.value
        prefix = measure + "/"
        return {row.measure.removeprefix(prefix): row.value for row in same if row.measure.startswith(prefix)} or None

    def measured_or_run(
        self,
        measure: str,
        run: Callable[[], float | Mapping[str, float]],
        seed: int = 0,
        settings: object = None,
    ) -> float | dict[str, float]:
        """The value for this measure, seed, settings and scale; `run()` is called only where no current row has it.

        `run` returns one number, or several as a mapping, whose parts become the measures `<measure>/<part>`.
        """
        known = self.find(measure, seed, settings)
        if known is not None:
            return known
        self._start_memory()
        began = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - began
        self.record(measure, result, seed, settings, seconds, self._peak_memory())
        return {k: float(v) for k, v in result.items()} if isinstance(result, Mapping) else float(result)

    def record(
        self,
        measure: str,
        value: float | Mapping[str, float],
        seed: int = 0,
        settings: object = None,
        seconds: float = 0.0,
        peak_memory: int | None = None,
    ) -> None:
        """Appends rows; several values of one measurement are written together or not at all."""
        values = {f"{measure}/{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {measure: value}
        where = environment(self.device)
        fixed = dict(
            seed=seed,
            settings=settings_hash(settings),
            experiment=self.experiment,
            scale=self.scale,
            dtype=self.dtype,
            seconds=round(seconds, 3),
            peak_memory=peak_memory,
        )
        try:
            rows = [Row(measure=name, value=float(number), **fixed, **where) for name, number in values.items()]
        except ValidationError as error:
            first = error.errors()[0]
            raise BadInput(f"measure {measure}: {first['loc'][0]}: {first['msg']}") from error
        append_rows(self.path, rows)
        self._rows += rows
        self._known = (*self._known, *rows)

    def _start_memory(self) -> None:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats()

    def _peak_memory(self) -> int | None:
        if not self.device.startswith("cuda"):
            return None
        import torch

        return torch.cuda.max_memory_allocated()
