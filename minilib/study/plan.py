"""What of a study is missing, in which order it is wanted, and what it costs.

A claim is decided by all of its rows together, so rows are wanted claim by claim: headline claims first, of those what
more rows would decide, and of these the cheapest. The tries of a sweep stand before the rows that wait for them. What
the first look needs is always wanted; a later look only where, by the interval so far, it would decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from minilib.claims import Claims, Measurements
from minilib.claims.gates import NOTHING
from minilib.claims.intervals import LOOKS, UNDECIDED, Sample, first_look, needed
from minilib.claims.model import COST, Claim
from minilib.claims.pairs import CANNOT, NOT_TESTABLE
from minilib.claims.reasons import APART, FEW, NO_HALF, UNVOUCHED
from minilib.claims.scores import Scores, halved
from minilib.claims.verdicts import Verdict, judge
from minilib.study.expected import expected, on_gpu, seconds_of
from minilib.study.recipes import parts_of
from minilib.study.study import Study

OPEN = (UNDECIDED, CANNOT, NOT_TESTABLE)
Rank = tuple[bool, bool, float]  # no headline, decided, seconds that the claim still lacks: the least comes first
LAST: Rank = (True, True, float("inf"))


@dataclass(frozen=True)
class Wanted:
    """A missing row: seconds as far as earlier rows tell, the tries that it waits for, why it is wanted, and whether it
    is there, but measured where its partner was not."""

    paper: str
    metric: str
    seed: int
    seconds: float
    tries: tuple[str, ...] = ()
    why: str = ""
    rank: Rank = LAST
    here: bool = False


def wanted(
    study: Study,
    claims: Claims,
    rows: Measurements,
    seeds: Sequence[int] | None = None,
    metrics: Sequence[str] = (),
    here: Measurements | None = None,
) -> list[Wanted]:
    """Missing rows of `metrics` (all of them by default) and of their sweeps, most wanted first.

    They are those of `seeds`, or by default those of the first look and of the `later` one that would decide a claim.
    here: rows of this device and these threads alone; a claim whose rows are all there, but make no pairs, or fewer
    than the first look needs, wants what these lack.
    """
    missing = _finder(study, rows, seeds, metrics, here)
    verdicts = [verdict for verdict in judge(claims, rows.rows()) if verdict.kind == "ordering"]
    lacking = _lacking(study, claims, rows, verdicts, missing, here is not None)
    rest = [each for name in study.metrics() for each in missing(name, study.replicates)]
    found: dict[tuple[str, int], Wanted] = {}
    for rank, why, wants in [*ranked(claims, verdicts, lacking), (LAST, "no claim waits for it", rest)]:
        for each in wants:
            found.setdefault((each.metric, each.seed), replace(each, rank=rank, why=why))
    return list(found.values())


def lacks(study: Study, claims: Claims, rows: Measurements) -> dict[str, float]:
    """Seconds that each ordering still lacks, by its id. What several wait for counts for each of them."""
    verdicts = [verdict for verdict in judge(claims, rows.rows()) if verdict.kind == "ordering"]
    found = _lacking(study, claims, rows, verdicts, _finder(study, rows))
    return {id: seconds_lacked(wants) for id, wants in found.items()}


def seconds_lacked(wants: Sequence[Wanted]) -> float:
    """Of these rows together, each of them once."""
    return sum({(each.metric, each.seed): each.seconds for each in wants}.values())


def _finder(
    study: Study,
    rows: Measurements,
    seeds: Sequence[int] | None = None,
    metrics: Sequence[str] = (),
    here: Measurements | None = None,
) -> Callable[..., list[Wanted]]:
    """(run, replicates, whether those of `here` alone count) -> what of these it lacks."""
    timed, gpu = seconds_of(rows), on_gpu(rows)

    @cache
    def missing(name: str, count: int, apart: bool = False) -> list[Wanted]:
        if metrics and name not in metrics and name.partition("/")[2] not in metrics:
            return []
        found = missing_of(study, name, here if apart else rows, range(count) if seeds is None else seeds, timed, gpu)
        return [replace(each, here=apart) for each in found]

    return missing


def _lacking(
    study: Study,
    claims: Claims,
    rows: Measurements,
    verdicts: Sequence[Verdict],
    missing: Callable[..., list[Wanted]],
    here: bool = False,
) -> dict[str, list[Wanted]]:
    """What each claim lacks, by its id."""
    scores = Scores.of([row for row in rows.rows() if row.judges], rows.scale, claims.derived)
    found = {}
    for verdict in verdicts:
        further = later(study, claims, claims[verdict.id], scores) if verdict.verdict in OPEN else {}
        counts = first_looks(study, claims, verdict)
        if verdict.verdict == UNDECIDED and not further:  # half the steps are asked only where there is a word to lose
            counts = {name: count for name, count in counts.items() if parts_of(name)[1] != "half"}
        counts = {name: max(count, further.get(name, 0)) for name, count in counts.items()}
        wants = [each for name, count in counts.items() for each in missing(name, count)]
        partly = {FEW, NO_HALF} | ({UNVOUCHED} if _has_controls(claims, verdict) else set())  # there, but not in pairs
        if here and (APART in verdict.reasons or (not wants and partly & {*verdict.reasons})):
            wants = [each for name, count in counts.items() for each in missing(name, count, True)]
        found[verdict.id] = wants
    return found


def _has_controls(claims: Claims, verdict: Verdict) -> bool:
    """Whether the claim's task names both of its controls: one that nobody named no run can give."""
    task = claims.tasks.get(claims[verdict.id].task or "")
    return task is not None and None not in (task.positive, task.negative)


def later(study: Study, claims: Claims, claim: Claim, scores: Scores) -> dict[str, int]:
    """{run: replicates} of the next look that would decide a pair of the claim, or a control of its task, which the
    looks so far leave undecided; nothing for a pair that no look would decide."""
    if claim.task is None or any(pair.better.startswith(COST) for pair in claim.pairs):
        return {}
    task, known, found = claims.tasks[claim.task], set(study.metrics()), {}
    asked = [(pair, pair.test, claim.margin, LOOKS[claim.replicates]) for pair in claim.pairs]
    looks = LOOKS[task.replicates or claim.replicates]
    asked += [(task.positive, "greater", NOTHING, looks), (task.negative, "equal", NOTHING, looks)]
    for pair, test, margin, looks in asked:
        differences = scores.points(pair, task, looks[0]) if pair else {}
        look = first_look(differences, looks, test, margin)
        if look is None or look.word != UNDECIDED:
            continue
        enough = needed(Sample.of(list(differences.values())), looks, test, margin) or looks[-1] + 1
        if count := next((each for each in looks if each >= max(enough, look.n + 1)), None):
            for metric in (part for name in pair.metrics for part in scores.parts(name)):
                for run in filter(None, (run_of(each, known) for each in (metric, halved(metric)))):
                    found[run] = max(count, found.get(run, 0))
    return found


def first_looks(study: Study, claims: Claims, verdict: Verdict) -> dict[str, int]:
    """{run: replicates of the first look} behind an ordering and behind its gates: those of its task, and half the
    steps of a training if it is a headline or lacks nothing else to be decided."""
    claim, known, runs = claims[verdict.id], set(study.metrics()), []
    halves = claim.replicates == "seeds" and (claim.headline or NO_HALF in verdict.reasons)
    for metric in claims.base_metrics(claim):
        runs += [metric, halved(metric)] if halves else [metric]
    gates = claims.tasks[claim.task].replicates if claim.task else None
    counts: dict[str, int] = {}
    for metrics, replicates in ((runs, claim.replicates), (claims.gate_metrics(claim), gates or claim.replicates)):
        for run in filter(None, (run_of(metric, known) for metric in metrics)):
            counts[run] = max(LOOKS[replicates][0], counts.get(run, 0))
    return counts


def missing_of(
    study: Study, metric: str, rows: Measurements, seeds: Sequence[int], timed: dict[str, float], gpu: bool = False
) -> list[Wanted]:
    """The rows that a metric lacks, its sweep's first."""
    untried = tuple(study.untried(metric, rows))
    settings = None if untried else study.settings(metric, rows)
    lacking = [seed for seed in seeds if untried or rows.row(metric, seed, settings) is None]
    tries = [Wanted(study.paper, each, study.seed_of(each), expected(each, study, timed, gpu)) for each in untried]
    seconds = expected(metric, study, timed, gpu)
    return [*tries, *(Wanted(study.paper, metric, seed, seconds, untried) for seed in lacking)]


def ranked(
    claims: Claims, verdicts: Sequence[Verdict], lacking: Mapping[str, Sequence[Wanted]]
) -> list[tuple[Rank, str, Sequence[Wanted]]]:
    """(rank, why, what it lacks) of each claim, the most wanted first."""
    found = []
    for verdict in verdicts:
        headline, open_ = claims[verdict.id].headline, verdict.verdict in OPEN
        seconds = seconds_lacked(lacking[verdict.id])
        why = f"{'headline' if headline else 'ordering'} {verdict.id}, {verdict.verdict}"
        found.append(((not headline, not open_, seconds), why, lacking[verdict.id]))
    return sorted(found, key=lambda each: each[0])


def run_of(metric: str, known: set[str]) -> str | None:
    """The run that gives a metric: itself, or for a further metric of a trained model ("grid/oca/jf") its variant's."""
    recipe, _, rest = metric.partition("/")
    base = recipe.partition(".")[0]
    while rest:
        if f"{base}/{rest}" in known:
            return f"{recipe}/{rest}"
        rest = rest.rpartition("/")[0]
    return None
