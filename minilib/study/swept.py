"""What the sweeps of a tuned recipe chose on validation clips, and where a choice lies at an edge of what was tried.

edges(STUDY, rows, STUDY.printed("5.4", paper, "tuned"))
"""

from __future__ import annotations

from collections.abc import Mapping

from minilib.claims.said import Printed, Rows
from minilib.claims.words import in_words, several
from minilib.study.recipes import Tuned
from minilib.study.study import Study


def tried(rows: Rows, tuned: Tuned, variant: str) -> tuple[dict[str, float], str | None]:
    """A variant's score on validation clips by try, those that are measured, and the best once all are."""
    found = {suffix: rows.get(f"tuned.{suffix}/{variant}") for suffix in tuned.tries()}
    known = {suffix: next(iter(scores.values())) for suffix, scores in found.items() if scores}
    return known, max(known, key=known.get) if len(known) == len(found) else None


def at_edge(tuned: Tuned, suffix: str) -> bool:
    """Whether a try has the lowest or the highest rate of all, so that a better one may lie beyond."""
    return tuned.tries()[suffix][0] in (min(tuned.rates), max(tuned.rates))


def edges(study: Study, rows: Rows, table: Printed) -> str:
    """Which lines of a table of long trainings, label -> ("tuned/<variant>", the paper's number), chose the highest or
    the lowest rate that was tried; nothing where no sweep is complete. Lines of a variant's further metrics chose
    nothing, and are left out."""
    tuned, names = study.recipes["tuned"], {label: metric.partition("/")[2] for label, (metric, _) in table.items()}
    best = {label: tried(rows, tuned, name)[1] for label, name in names.items() if name in study.variants}
    rates = {label: tuned.tries()[suffix][0] for label, suffix in best.items() if suffix}
    if not rates or len(tuned.rates) < 2:
        return ""
    tries = in_words(len(tuned.rates))
    text = f"Learning rates, the best of {tries} on validation clips ({several(len(rates), 'rows')})"
    chosen = {"highest": _at(rates, max(tuned.rates)), "lowest": _at(rates, min(tuned.rates))}
    listed = [f"the {end} for {labels}" for end, labels in chosen.items() if labels]
    if not listed:
        return f"{text}: never the highest or the lowest."
    return f"{text}: {'; '.join(listed)}. Beyond an edge of what was tried a better one may lie."


def _at(rates: Mapping[str, float], rate: float) -> str:
    return ", ".join(f"“{label}”" for label, each in rates.items() if each == rate)
