"""A paper's rows as studies and notebooks use them: look one up, or measure it and keep it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from minilib.claims.chosen import Seeds, by_metric, by_setup, last_measured, latest, weighted
from minilib.claims.files import FOLDER, load
from minilib.claims.model import COST
from minilib.claims.rows import Row, RowFile, append_rows
from minilib.claims.settings import settings_hash
from minilib.environment import device_name, environment
from minilib.errors import BadInput
from minilib.files import RESULTS


@dataclass
class Taken:
    """What something took: seconds, and bytes of a GPU's memory at the peak."""

    seconds: float = 0.0
    peak_memory: int | None = None


class Measurements:
    """The rows of one paper at one scale on one device.

    Committed rows are read; new ones go to `<out_dir>/rows/<paper>.jsonl`, where other processes may write as well:
    what they append is seen at the next look-up. With `fresh`, only what this object measured itself is taken from the
    cache. With `judging`, rows that do not judge are not found, so that a clean checkout measures them again; with
    `threads`, neither are those of another device or number of threads, with which new ones make no pairs. A look-up
    costs the same however many rows there are.
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
        judging: bool = False,
        threads: int | None = None,
    ):
        self.judging, self.place = judging, threads and (device_name(device), threads)
        self.paper, self.scale, self.fresh, self.device, self.dtype = paper, scale, fresh, device, dtype
        self.path = Path(out_dir) / "rows" / f"{paper}.jsonl"
        claims = load(paper, claims_folder)
        self.experiment, self.derived = claims.experiment, claims.derived
        paths = {path.absolute(): path for path in (Path(committed) / "rows" / f"{paper}.jsonl", self.path)}
        self._files = [RowFile(path) for path in paths.values()]
        self._rows: list[Row] = []
        self._known: dict[tuple, Row] = {}
        self._parts: dict[tuple, dict[str, Row]] = {}
        self._update()

    def rows(self) -> list[Row]:
        """Current rows, newest of each measurement, of every scale."""
        self._update()
        return latest(self._rows, self.experiment)

    def seeds_of(self, scale: str = "small") -> dict[str, dict[int, float]]:
        """{metric: {seed: value}} of the current rows of one scale, derived metrics as well; each is a `Seeds`."""
        rows = self.rows()
        last, setups = last_measured(rows, scale), by_setup(rows, scale)
        found, *each = (self._derived(one) for one in (by_metric(rows, scale), *setups.values()))
        known = dict(zip(setups, each, strict=True))

        def seeds(name: str, values: Mapping[int, Row]) -> Seeds:
            there = {setup: one[name] for setup, one in known.items() if name in one}
            parts = self.derived.get(name, (name,))
            return Seeds(
                {seed: row.value for seed, row in values.items()},
                {setup: {seed: row.value for seed, row in one.items()} for setup, one in there.items()},
                {setup: max(last[part, setup] for part in parts) for setup in there},
            )

        return {name: seeds(name, values) for name, values in found.items()}

    def _derived(self, found: dict[str, dict[int, Row]]) -> dict[str, dict[int, Row]]:
        """The same and the derived metrics."""
        return found | {name: rows for name, parts in self.derived.items() if (rows := weighted(parts, found))}

    def row(self, metric: str, seed: int = 0, settings: object = None) -> Row | None:
        """The row that is there: of two the later one, unless only the earlier one judges."""
        self._update()
        return self._known.get(self._key(metric, seed, settings))

    def find(self, metric: str, seed: int = 0, settings: object = None) -> float | dict[str, float] | None:
        """The value that is already there: a number, or a dict where the run gave several; None where there is none."""
        row = self.row(metric, seed, settings)
        if row is not None:
            return row.value
        parts = self._parts.get(self._key(metric, seed, settings), {})
        return {part: row.value for part, row in parts.items()} or None

    def record(
        self,
        metric: str,
        value: float | Mapping[str, float],
        seed: int = 0,
        settings: object = None,
        seconds: float = 0.0,
        peak_memory: int | None = None,
        barred: str = "",
        data: str = "",
        dtype: str = "",
    ) -> None:
        """Appends rows; several values of one measurement, a mapping, are written together or not at all: its part ""
        is the metric itself, the others are `<metric>/<part>`. dtype: where it is not that of the others."""
        several = value if isinstance(value, Mapping) else {"": value}
        values = {f"{metric}/{part}" if part else metric: number for part, number in several.items()}
        where = environment(self.device)
        fixed = dict(
            seed=seed,
            settings=settings_hash(settings),
            experiment=self.experiment,
            scale=self.scale,
            dtype=dtype or self.dtype,
            seconds=round(seconds, 3),
            peak_memory=peak_memory,
            barred=barred,
            data=data,
        )
        try:
            rows = [Row(metric=name, value=float(number), **fixed, **where) for name, number in values.items()]
        except ValidationError as error:
            first = error.errors()[0]
            raise BadInput(f"metric {metric[:80]}: {first['loc'][0]}: {first['msg']}") from error
        append_rows(self.path, rows)
        for row in rows if self.fresh else ():
            self._index(row)
        self._update()

    def _update(self) -> None:
        """Takes in what the files have more than at the last look."""
        for file in self._files:
            new = file.new()
            self._rows += new
            for row in () if self.fresh else new:
                self._index(row)

    def _index(self, row: Row) -> None:
        if row.experiment != self.experiment or (self.judging and not row.judges):
            return
        if self.place and (row.device, row.threads) != self.place:
            return
        metric, *rest = row.key
        known = self._known.get(row.key)
        if known is not None and known.judges and not row.judges:
            return
        self._known[row.key] = row
        for k, letter in enumerate(metric):
            if letter == "/" and k:
                self._parts.setdefault((metric[:k], *rest), {})[metric[k + 1 :]] = row

    def _key(self, metric: str, seed: int, settings: object) -> tuple:
        device = device_name(self.device) if f"{metric}/".startswith(COST) else ""
        return metric, seed, settings_hash(settings), self.experiment, self.scale, device

    @contextmanager
    def timing(self) -> Iterator[Taken]:
        """Seconds of what is done inside, and the peak of a GPU's memory, once it is done."""
        gpu = None
        if self.device.startswith("cuda"):
            import torch

            gpu = torch.cuda
            gpu.reset_peak_memory_stats()
        taken, began = Taken(), time.perf_counter()
        yield taken
        taken.peak_memory = gpu.max_memory_allocated() if gpu else None
        taken.seconds = time.perf_counter() - began
