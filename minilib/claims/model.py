"""A paper's claims as written in `minilib/claims/<paper>.yaml`, checked when read.

experiment: 3                       # raise it when the experiment changes: older rows are then never used
claims:
  - id: table1a_time_helps          # also the measure's name, unless `measure` or `pairs` says otherwise
    source: "Table 1(a), rows 1 and 4"
    statement: Temporal heads beat the same model without them.
    kind: ordering                  # count | ordering | magnitude
    paper_value: 17.9
    unit: points
    pairs: [{better: zeroi2v/accuracy, worse: adapters/accuracy}]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, ValidationError, model_validator

from minilib.errors import BadInput

FOLDER = Path(__file__).parent
Name = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    """Unknown keys and changes are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Pair(Strict):
    """Two measures compared seed by seed. `within` makes it a claim of equality up to that margin."""

    better: Name
    worse: Name
    within: PositiveFloat | None = None


class Claim(Strict):
    """One sentence of the paper that numbers can support or not."""

    id: Name
    source: Name
    statement: Name
    kind: Literal["count", "ordering", "magnitude"]
    paper_value: FiniteFloat
    unit: str = ""
    # count
    measure: Name | None = None  # default: id; magnitudes too
    digit: PositiveFloat | None = None  # unit of the last printed digit
    conflict: Name | None = None  # why the paper or its code already says the number cannot be right
    # ordering
    pairs: tuple[Pair, ...] = ()
    lower_is_better: bool = False  # the difference is then worse - better, as for times and memory
    setting: Name | None = None  # how our setting differs; shown, and no part of the verdict
    # magnitude
    within: PositiveFloat = 1.0  # how far a paper-scale mean may lie from the paper's
    different_setting: Name | None = None  # why it would be another experiment here

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Claim:
        own = {
            "count": {"measure", "digit", "conflict"},
            "ordering": {"pairs", "lower_is_better", "setting"},
            "magnitude": {"measure", "within", "different_setting"},
        }
        foreign = set().union(*own.values()) - own[self.kind]
        given = sorted(name for name in foreign & self.model_fields_set)
        if given:
            raise ValueError(f"{given[0]} does not belong to a {self.kind}")
        if self.kind == "count" and self.digit is None:
            raise ValueError("a count needs digit, the unit of the last printed digit (1 or 0.1)")
        if self.kind == "ordering" and not self.pairs:
            raise ValueError("an ordering needs pairs: [{better: ..., worse: ...}]")
        return self

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures whose rows decide this claim."""
        if self.kind == "ordering":
            return tuple(dict.fromkeys(name for pair in self.pairs for name in (pair.better, pair.worse)))
        return (self.measure or self.id,)


class Claims(Strict):
    """All claims of one paper."""

    paper: str
    title: str = ""
    experiment: int = Field(ge=1)
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Claims:
        ids = [claim.id for claim in self.claims]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"id {twice[0]} is there twice")
        return self

    def __getitem__(self, id: str) -> Claim:
        for claim in self.claims:
            if claim.id == id:
                return claim
        raise BadInput(f"claims of {self.paper}: no id {id!r}; ids are in {self.paper}.yaml")


def papers(folder: Path | str = FOLDER) -> list[str]:
    """Every paper with a claims file."""
    return sorted(path.stem for path in Path(folder).glob("*.yaml"))


def load(paper: str, folder: Path | str = FOLDER) -> Claims:
    """The paper's claims. A wrong file is `BadInput` with the file, the claim and the key in one line."""
    known = papers(folder)
    if paper not in known:
        raise BadInput(f"paper {paper!r} has no claims; known are: {', '.join(known) or 'none yet'}")
    path = Path(folder) / f"{paper}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadInput(f"{path.name}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path.name}: must be a mapping with the keys experiment and claims")
    try:
        return Claims.model_validate({"paper": paper, **content})
    except ValidationError as error:
        first, more = error.errors()[0], error.error_count() - 1
        where = list(first["loc"])
        if len(where) > 1 and where[0] == "claims" and isinstance(content["claims"][where[1]], dict):
            where[1] = content["claims"][where[1]].get("id", where[1])
        reason = first["msg"].removeprefix("Value error, ")
        rest = f" (and {more} more)" if more else ""
        raise BadInput(f"{path.name}: {'.'.join(map(str, where)) or 'file'}: {reason}{rest}") from error
