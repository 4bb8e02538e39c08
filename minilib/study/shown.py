"""A paper's tables on a page: its order beside ours, what is seen in sentences, every seed folded; and a list of the
tables whose rows are not measured yet.

    tables = Tables(STUDY, paper, rows, chance=3.3)
    tables.show("Table 3.2", "3.2", (("Coarse-Fine", "X3D"),))
    tables.rest()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt

from minilib import claims, page, plots
from minilib.claims.words import several
from minilib.study.recipes import Tuned
from minilib.study.study import Study
from minilib.training import TrainSettings

TRAINED = {"grid": "short trainings", "tuned": "long trainings"}  # by recipe
Lines = Mapping[str, tuple[str, float | None]]  # label -> (metric, the paper's number), as `Study.printed` gives it


@dataclass
class Tables:
    """rows: {metric: {seed: value}}. chance and unit are of the study's metric."""

    study: Study
    paper: claims.Claims
    rows: Mapping[str, Mapping[int, float]]
    chance: float
    unit: str = "mAP over all test frames, %"
    waiting: list[tuple[str, str, str]] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    def lines(self, table: str) -> Lines:
        """A table by the recipe that has most of its rows."""
        every = [self.study.printed(table, self.paper, name) for name in self.study.recipes if name != "core"]
        return max(every, key=lambda lines: len(claims.means(lines, self.rows)))

    def show(self, title: str, table: str | Lines, asks: Sequence[tuple[str, str]] = (), unit: str = "%") -> None:
        """The table, and what is seen; pairs of `asks` are compared seed by seed. One of which fewer than two rows are
        measured, or, where nothing is asked, none that another table has not shown, waits for `rest`."""
        from IPython.display import display

        shown = self.lines(table) if isinstance(table, str) else table
        known = {row: line for row, line in shown.items() if self.rows.get(line[0])}
        metrics = {metric for metric, _ in known.values()}
        if len(known) < 2 or (metrics <= self.told and not asks):
            self.waiting += [(title, row, "" if value is None else f"{value:g}") for row, (_, value) in shown.items()]
            return
        self.told |= metrics
        trained = dict.fromkeys(TRAINED.get(metric.partition("/")[0]) for metric, _ in known.values())
        title = ", ".join([title, *filter(None, trained)])
        if any(value is not None for _, value in shown.values()):
            figure, axis = plt.subplots(figsize=(6.4, 0.8 + 0.24 * len(shown)))
            plots.ranks(axis, title, shown, self.rows, unit)
        else:
            figure, axis = plt.subplots(figsize=(6.4, 0.8 + 0.26 * len(known)))
            plots.dots(axis, {row: list(self.rows[metric].values()) for row, (metric, _) in known.items()}, self.chance)
            highest = max(max(self.rows[metric].values()) for metric in metrics)
            axis.set(title=title, xlabel=self.unit, xlim=(0, 1.2 * highest))
        page.show(figure, f"{title}: what is measured here, beside the paper's where it prints a number")
        name = unit if unit == "%" else "points"
        page.say(
            claims.ranking(shown, self.rows, f" {name}"),
            *(claims.difference(shown, self.rows, *pair) for pair in asks),
            *filter(None, (claims.climbing(shown, self.rows),)),
        )
        every = [
            (row, ", ".join(f"{values[seed]:.1f}" for seed in sorted(values)))
            for row, values in ((row, self.rows[line[0]]) for row, line in known.items())
        ]
        display(claims.Table(("row", f"every seed, {name}"), tuple(every), folded="Every seed"))

    def rest(self) -> claims.Table:
        """Folded: the rows of all tables that wait, with what the paper prints."""
        found = tuple(self.waiting)
        folded = f"{len(found)} rows of tables that wait for more rows (python -m minilib.study {self.study.paper})"
        return claims.Table(("table", "row", "the paper"), found, folded=folded)

    def printed(self) -> claims.Table:
        """Folded: every score that the paper prints, of methods that are not run here as well."""
        scores = [c for c in self.paper.claims if c.kind == "magnitude"]
        found = tuple((c.source, c.statement, f"{c.paper_value:g} {c.unit}") for c in scores)
        return claims.Table(("source", "what", "the paper"), found, folded=f"All {len(found)} scores that are printed")


def known_as(study: Study) -> dict[str, str]:
    """What a reader knows each variant by: the first label that a table gives it."""
    every = [(row.variant, label) for table in study.tables.values() for label, row in table.items()]
    return dict(reversed(every))


def lengths(short: TrainSettings, long: Tuned) -> str:
    """How long the rows of the wide grids and those that judge the headlines are trained."""
    grid, tuned = (f"{each.steps:,} steps of {each.batch} clips" for each in (short, long.recipe))
    rates = several(len(long.rates), "learning rates")
    return (
        f"Most tables on this page are of short trainings, {grid} each. The headline claims about accuracy are judged "
        f"by long ones, {tuned}, each at the best of {rates}:"
    )
