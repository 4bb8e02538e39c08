"""All papers on one page: what became of their claims and why, what would settle the rest, and what it cost.

Everything here follows from claims files and rows, of whichever papers have a claims file; nothing is typed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from minilib.claims.files import CONTRADICTIONS, FOLDER, Loader, load, papers
from minilib.claims.intervals import UNDECIDED
from minilib.claims.model import Claim, Claims
from minilib.claims.pairs import CANNOT, NOT_TESTABLE
from minilib.claims.reasons import MENDED, REASONS, gravest
from minilib.claims.rows import Row, all_rows
from minilib.claims.table import Table, occurring
from minilib.claims.tasks import Name, Strict, Text
from minilib.claims.verdicts import NOT_REPRODUCED, Verdict, false_calls, judge

OPEN = (UNDECIDED, CANNOT, NOT_TESTABLE)
TO_THE_DIGIT, CONFLICT, OFF = "to the digit", "the printed number contradicts the paper", "off without a reason"
DECIDED, REAL, OTHER = "decided by the rows", "needs the paper's weights and data", "another experiment than ours"
ANOTHER = "another reason"


@dataclass(frozen=True)
class Card:
    """One paper's claims, the verdict on each, and the rows that they follow from."""

    claims: Claims
    verdicts: Sequence[Verdict]
    rows: Sequence[Row] = ()

    @property
    def title(self) -> str:
        """The title as far as its name goes: "DiST" of "DiST: disentangled ..."."""
        return re.split(": | for | without | side | in videos", self.claims.title or self.claims.paper)[0]

    @property
    def counts(self) -> Counter[str]:
        """How many claims came to each word."""
        return Counter(verdict.verdict for verdict in self.verdicts)

    @property
    def false_calls(self) -> tuple[int, float]:
        """Distinct pairs judged, and how many of them would be called an effect if there were none."""
        return false_calls(self.claims, self.verdicts)

    def of(self, kind: str) -> list[Verdict]:
        """The verdicts on counts, orderings or magnitudes."""
        return [verdict for verdict in self.verdicts if verdict.kind == kind]

    @property
    def headlines(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if self.claims[verdict.id].headline]

    def reasons(self, kind: str = "") -> Counter[str]:
        """Why these verdicts are what they are, by `reason`."""
        return Counter(reason(self.claims[v.id], v) for v in self.verdicts if kind in ("", v.kind))


def cards(*folders: Path | str) -> list[Card]:
    """Every paper that has a claims file, judged on the rows of these folders in turn."""
    found = []
    for claims in map(load, papers()):
        rows = all_rows(claims.paper, *folders)
        found.append(Card(claims, judge(claims, rows), rows))
    return found


def reason(claim: Claim, verdict: Verdict) -> str:
    """Why the verdict is what it is, in one phrase; of an open claim of several pairs the gravest reason."""
    if claim.kind == "count" and verdict.verdict == NOT_REPRODUCED:
        return CONFLICT if claim.conflict else OFF
    if verdict.verdict not in OPEN:
        return TO_THE_DIGIT if claim.kind == "count" else DECIDED
    if claim.kind == "magnitude":
        return OTHER if claim.different_setting else REAL
    return gravest(verdict.reasons) or ANOTHER


def by_verdict(found: Sequence[Card], kind: str = "") -> Table:
    """Papers and how many claims of a kind, or of all, came to which word."""
    chosen = {card.title: [v for v in card.verdicts if kind in ("", v.kind)] for card in found}
    words = occurring(verdict for verdicts in chosen.values() for verdict in verdicts)
    return _tally({title: Counter(v.verdict for v in verdicts) for title, verdicts in chosen.items()}, words)


def by_reason(found: Sequence[Card]) -> Table:
    """Papers and why their claims are decided or open."""
    names = (TO_THE_DIGIT, CONFLICT, OFF, DECIDED, *REASONS, OTHER, REAL, ANOTHER)
    tallies = {card.title: card.reasons() for card in found}
    return _tally(tallies, [name for name in names if any(tally[name] for tally in tallies.values())])


def _tally(tallies: dict[str, Counter[str]], names: Iterable[str]) -> Table:
    """One line a paper and a last one of all; nothing in place of a zero."""
    names, total = list(names), sum(tallies.values(), Counter())
    lines = [*tallies.items(), ("all", total)] if len(tallies) > 1 else list(tallies.items())
    rows = [(title, *(str(tally[name] or "") for name in names), str(tally.total())) for title, tally in lines]
    return Table(("paper", *names, "claims"), tuple(rows))


def headline_claims(found: Sequence[Card]) -> Table:
    """What became of what the abstracts say."""
    rows = [(card.title, card.claims[v.id].statement, v.verdict, v.why) for card in found for v in card.headlines]
    return Table(("paper", "claim", "verdict", "why"), tuple(rows))


def conflicts(found: Sequence[Card]) -> Table:
    """Printed numbers that the paper itself or its code shows to be wrong, with one line for each reason."""
    rows = []
    for card in found:
        wrong = [card.claims[v.id] for v in card.of("count") if v.verdict == NOT_REPRODUCED]
        for why in dict.fromkeys(claim.conflict for claim in wrong if claim.conflict):
            same = [claim for claim in wrong if claim.conflict == why]
            sources = list(dict.fromkeys(claim.source for claim in same))
            where = sources[0] if len(sources) == 1 else f"{sources[0]} and {len(sources) - 1} more"
            rows.append((card.title, where, str(len(same)), why))
    return Table(("paper", "where", "numbers", "why they cannot be right"), tuple(rows))


class Contradiction(Strict):
    """What two places of a paper, or of a paper and its code, say otherwise, and the test that shows it."""

    paper: Name
    between: Text
    found: Text
    test: Text

    @property
    def test_in_words(self) -> str:
        """The test's name as a sentence, behind its file's."""
        file, _, name = self.test.partition("::")
        return f"{file.removeprefix('tests/')}: {name.removeprefix('test_').replace('_', ' ')}"


def contradictions(path: Path | str = FOLDER / CONTRADICTIONS) -> tuple[Contradiction, ...]:
    """All that were found beyond the printed counts, in the order of the file."""
    return tuple(map(Contradiction.model_validate, yaml.load(Path(path).read_text(encoding="utf-8"), Loader)))


def settled_by_time(found: Sequence[Card]) -> tuple[Table, str]:
    """The orderings that further rows would settle or bring nearer, by paper, and the one command that measures them,
    most wanted first; "" where there are none."""
    rows, names = [], []
    for card in found:
        open_ = [v for v in card.of("ordering") if reason(card.claims[v.id], v) in MENDED]
        if open_:
            names.append(card.claims.paper)
            first = sum(card.claims[v.id].headline for v in open_)
            why = Counter(reason(card.claims[v.id], v) for v in open_).most_common()
            rows.append((card.title, str(len(open_)), str(first), "; ".join(f"{name}: {n}" for name, n in why)))
    command = f"python -m minilib.study {' '.join(names)} --device cuda --jobs 12" if names else ""
    return Table(("paper", "orderings open", "of them headlines", "why"), tuple(rows)), command


def settled_by_data(found: Sequence[Card], parameters: Path | str) -> Table:
    """The magnitudes that wait for the paper's weights and data, by paper, and the command for each recipe that lies in
    the folder of parameter files."""
    rows = []
    for card in found:
        waiting = card.reasons("magnitude")[REAL]
        files = sorted(Path(parameters).glob(f"{card.claims.paper}_*.yaml"))
        commands = [f"python -m minilib.train notebooks/parameters/{file.name} --set data_root=DIR" for file in files]
        if waiting:
            rows.append((card.title, str(waiting), "; ".join(commands) or "no recipe yet"))
    return Table(("paper", "numbers waiting", "one command for each data set"), tuple(rows))


def seconds_by_device(card: Card) -> dict[str, float]:
    """Seconds behind a paper's rows by device, in words: a run that left several rows counts once."""
    runs = {(row.device, row.commit, row.seed, row.seconds) for row in card.rows}
    found: dict[str, float] = {}
    for device, _, _, seconds in sorted(runs, key=lambda run: run[0]):
        device = device.replace(", 1 cores", ", one core")
        found[device] = found.get(device, 0.0) + seconds
    return {device: seconds for device, seconds in found.items() if seconds}


def costs(found: Sequence[Card]) -> Table:
    """Rows and hours by paper and device."""
    every = {card.title: seconds_by_device(card) for card in found}
    devices = list(dict.fromkeys(device for spent in every.values() for device in spent))
    lines = [(card.title, str(len(card.rows)), *_hours(every[card.title], devices)) for card in found]
    total = {device: sum(spent.get(device, 0.0) for spent in every.values()) for device in devices}
    lines.append(("all", str(sum(len(card.rows) for card in found)), *_hours(total, devices)))
    return Table(("paper", "rows", *(f"hours on {device}" for device in devices)), tuple(lines))


def judging_hours(found: Sequence[Card]) -> str:
    """Hours of processors and of GPUs behind all rows, and of these what the rows that judge took."""
    judging = [replace(card, rows=[row for row in card.rows if row.judges]) for card in found]
    (cpu, gpu), (its, theirs) = map(_by_kind, (found, judging))
    return (
        f"Of {cpu:,.1f} hours of processors and {gpu:,.1f} hours of GPUs, {its:,.1f} and {theirs:,.1f} were spent on "
        "rows that judge: measured in a clean checkout, by the rules of today."
    )


def _by_kind(found: Sequence[Card]) -> tuple[float, float]:
    """Hours of processors and of GPUs."""
    spent = [0.0, 0.0]
    for card in found:
        for on_gpu in (False, True):
            of_these = replace(card, rows=[row for row in card.rows if row.on_gpu == on_gpu])
            spent[on_gpu] += sum(seconds_by_device(of_these).values()) / 3600
    return spent[0], spent[1]


def formats(found: Sequence[Card]) -> str:
    """In which number formats rows were measured, and which papers were tried in float32 alone."""
    every = {card.title: Counter(row.dtype for row in card.rows) for card in found}
    others = [
        f"{tally[name]:,} rows of {title} are of {name}"
        for title, tally in every.items()
        for name in sorted(tally.keys() - {"float32"})
    ]
    only = [title for title, tally in every.items() if tally.keys() == {"float32"}]
    text = f"{'; '.join(others)}. " if others else ""
    return f"{text}In float32 alone, and so without a word on how they fare in another: {', '.join(only)}."


def _hours(spent: dict[str, float], devices: Sequence[str]) -> list[str]:
    return [f"{spent[device] / 3600:.2f}" if spent.get(device) else "" for device in devices]
