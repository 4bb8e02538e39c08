"""A paper's claims as written in `minilib/claims/<paper>.yaml`, checked when read.

experiment: 3                       # raise it when the experiment changes: older rows are then never used
tasks:
  motion: {chance: 8.3333, oracle: 100, positive: {better: grid/time, worse: grid/none}, negative: {...}}
printed: {t1a.time: 65.8, t1a.none: 47.9}
derived: {gain: {grid/time: 1, grid/none: -1}}
claims:
- id: t1a.time_helps
  headline: true
  source: "Table 1(a), rows 1 and 4"
  statement: Temporal heads beat the same model without them.
  kind: ordering                    # count | ordering | magnitude
  task: motion
  paper: [t1a.time, t1a.none]       # the paper's value is their difference
  unit: points
  pairs: [{better: tuned/time, worse: tuned/none, test: greater}]

A point is 1 % of the way from a task's chance to its oracle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, FiniteFloat, PositiveFloat, ValidationInfo, field_validator, model_validator

from minilib.claims.tasks import Name, Pair, Replicates, Strict, Task, Text
from minilib.errors import BadInput

HEADLINES = 5  # at most so many a paper
MARGINS = (1.0, 3.0)  # points; half of the paper's effect within these
COST = "cost/"  # how the metrics of costs begin


class Claim(Strict):
    """One sentence of the paper that numbers can support or not."""

    id: Name
    source: Text
    statement: Text
    kind: Literal["count", "ordering", "magnitude"]
    headline: bool = False
    paper: Name | tuple[Name, Name] | None = None  # keys of printed numbers
    paper_value: FiniteFloat | None = None  # once loaded a number, but for an ordering of which none is printed
    unit: str = ""
    # count and magnitude
    metric: Name | None = None  # default: id
    # count
    digit: PositiveFloat | None = None  # unit of the last printed digit
    cut: bool = False  # the paper cut its number off and did not round it
    conflict: Text | None = None  # why the paper or its code already shows that the number cannot be right
    # ordering
    task: Name | None = None
    pairs: tuple[Pair, ...] = ()
    margin: PositiveFloat | None = None  # points (costs: percent); a number once the file is loaded
    replicates: Replicates = "seeds"  # where nothing is trained, clips, sets of five chronicles, groups of eight clips
    cost: bool = False  # rows are interleaved rounds, and less is better
    setting: Text | None = None  # how our setting differs; shown, and no part of the verdict
    # magnitude
    within: PositiveFloat = 1.0  # how far a paper-scale mean may lie from the paper's
    different_setting: Text | None = None  # why it would be another experiment here

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Claim:
        own = {
            "count": {"metric", "digit", "cut", "conflict"},
            "ordering": {"task", "pairs", "margin", "replicates", "cost", "setting"},
            "magnitude": {"metric", "within", "different_setting"},
        }
        foreign = set().union(*own.values()) - own[self.kind]
        if given := sorted(foreign & self.model_fields_set):
            raise ValueError(f"{given[0]} does not belong to kind {self.kind}")
        both, neither = None not in (self.paper, self.paper_value), (self.paper, self.paper_value) == (None, None)
        if both or (neither and self.kind != "ordering"):
            raise ValueError("needs either paper (keys of printed numbers) or paper_value")
        if self.kind != "ordering" and isinstance(self.paper, tuple):
            raise ValueError(f"a {self.kind} is one printed number; only an ordering derives its value from two")
        if self.kind == "count" and self.digit is None:
            raise ValueError("a count needs digit, the unit of the last printed digit (1 or 0.1)")
        if self.kind == "ordering":
            self._check_pairs()
        return self

    def _check_pairs(self) -> None:
        if not self.pairs:
            raise ValueError("an ordering needs pairs: [{better: ..., worse: ..., test: greater}]")
        if self.cost == (self.task is not None):
            raise ValueError("an ordering needs task, or cost: true" if self.task is None else "a cost has no task")
        if {name.startswith(COST) for name in self.metrics} - {self.cost}:
            raise ValueError(f"the metrics of costs, and no others, begin with {COST}")
        sides = [frozenset((pair.better, pair.worse)) for pair in self.pairs]
        for pair, side in zip(self.pairs, sides, strict=True):
            if sides.count(side) > 1:
                raise ValueError(f"the pair {pair.better}, {pair.worse} is there twice")
            if not pair.metrics or (self.cost and len(pair.metrics) < 2):
                raise ValueError(f"the pair {pair.better}, {pair.worse} measures nothing")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics whose rows decide this claim, derived ones by their own name."""
        if self.kind == "ordering":
            return tuple(dict.fromkeys(name for pair in self.pairs for name in pair.metrics))
        return (self.metric or self.id,)


class Claims(Strict):
    """All claims of one paper, headline claims first; printed numbers and derived metrics with them."""

    paper: str
    title: str = ""
    experiment: int = Field(ge=1, lt=1_000_000)
    tasks: dict[Name, Task] = {}
    printed: dict[Name, FiniteFloat] = {}
    derived: dict[Name, dict[Name, FiniteFloat]] = {}
    claims: tuple[Claim, ...] = Field(min_length=1)

    @field_validator("derived", mode="before")
    @classmethod
    def _weighted_sums(cls, derived: Any) -> Any:
        for name, parts in derived.items() if isinstance(derived, Mapping) else ():
            weights = parts.values() if isinstance(parts, Mapping) else ()
            if not weights or not all(type(weight) in (int, float) and weight for weight in weights):
                raise ValueError(f"{name}: a derived metric is a weighted sum, {{metric: weight, ...}}")
            if nested := sorted(set(map(str, parts)) & set(map(str, derived))):
                raise ValueError(f"{name}: {nested[0]} is derived itself; name the measured metrics")
        return derived

    @field_validator("claims", mode="after")
    @classmethod
    def _complete(cls, claims: tuple[Claim, ...], info: ValidationInfo) -> tuple[Claim, ...]:
        if not {"printed", "tasks"} <= info.data.keys():
            return claims  # wrong there, and told so
        ids = [claim.id for claim in claims]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"id {twice[0]} is there twice")
        if both := sorted(set(ids) & info.data["printed"].keys()):
            raise ValueError(f"{both[0]} is a printed number and an id; write the number once")
        if (marked := sum(claim.headline for claim in claims)) > HEADLINES:
            raise ValueError(f"{marked} headline claims; a paper has at most {HEADLINES}")
        for claim in claims:
            if claim.task is not None and claim.task not in info.data["tasks"]:
                known = ", ".join(info.data["tasks"]) or "none yet"
                raise ValueError(f"{claim.id}: task {claim.task!r} is not among the tasks ({known})")
        numbers = dict(info.data["printed"])
        numbers |= {c.id: c.paper_value for c in claims if c.kind != "ordering" and c.paper_value is not None}
        filled = {claim.id: _filled(claim, numbers) for claim in claims if claim.kind != "ordering"}
        numbers |= {name: claim.paper_value for name, claim in filled.items()}
        filled |= {claim.id: _filled(claim, numbers) for claim in claims if claim.kind == "ordering"}
        return tuple(sorted((filled[name] for name in ids), key=lambda claim: not claim.headline))

    def __getitem__(self, id: str) -> Claim:
        for claim in self.claims:
            if claim.id == id:
                return claim
        raise BadInput(f"claims of {self.paper}: no id {id!r}; ids are in {self.paper}.yaml")

    def base_metrics(self, claim: Claim) -> tuple[str, ...]:
        """The measured metrics behind a claim: its own, in the place of a derived one the metrics that it sums."""
        return self._measured(claim.metrics)

    def gate_metrics(self, claim: Claim) -> tuple[str, ...]:
        """What else must be measured before an ordering is judged: controls and measured ends of its task."""
        if claim.task is None:
            return ()
        task = self.tasks[claim.task]
        ends = [end for end in (task.chance, task.oracle) if isinstance(end, str)]
        names = [name for control in (task.positive, task.negative) if control for name in control.metrics]
        return self._measured((*names, *ends))

    def _measured(self, metrics: Iterable[str]) -> tuple[str, ...]:
        parts = (self.derived.get(name, (name,)) for name in metrics)
        return tuple(dict.fromkeys(part for names in parts for part in names))

    def number(self, key: str) -> float:
        """The paper's number of this key: a printed one, or that of a count or a magnitude."""
        if key in self.printed:
            return self.printed[key]
        return self[key].paper_value


def _filled(claim: Claim, numbers: Mapping[str, float]) -> Claim:
    """The claim with the paper's value looked up or derived, and its margin."""
    value = claim.paper_value
    if claim.paper is not None:
        keys = (claim.paper,) if isinstance(claim.paper, str) else claim.paper
        if unknown := [key for key in keys if key not in numbers]:
            raise ValueError(f"{claim.id}: {unknown[0]!r} is no printed number and no id of a count or a magnitude")
        first, *second = (numbers[key] for key in keys)
        if claim.cost and not (first > 0 and second[0] > 0):
            raise ValueError(f"{claim.id}: a ratio of costs needs two numbers above 0")
        value = first if not second else round(first / second[0] if claim.cost else first - second[0], 9)
    margin = claim.margin
    if claim.kind == "ordering" and margin is None:
        effect = 0.0 if value is None else 100 * abs(value - 1) if claim.cost else abs(value)
        margin = min(max(effect / 2, MARGINS[0]), MARGINS[1])
    if claim.kind == "count" and abs(value / claim.digit - round(value / claim.digit)) > 1e-6:
        raise ValueError(f"{claim.id}: {value:g} has more digits than digit {claim.digit:g} says")
    return claim.model_copy(update={"paper_value": value, "margin": margin})
